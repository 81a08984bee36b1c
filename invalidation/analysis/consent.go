package analysis

// consents reports whether somebody may accept for a time what is refused for a reason.
func consents(r Reason) bool { return r == ReasonClock || r == ReasonUnwatchedTable }

// concludeConsented concludes a tree as if the clock stood and tables that are not watched
// did not change. It returns nil if something else is in the way too, or a table has row
// security: what one role was shown a while ago may be hidden from it by now.
func concludeConsented(s *statement) *Verdict {
	if len(s.secured) > 0 {
		return nil
	}
	s.consented = true
	v, err := conclude(s)
	if err != nil {
		return nil
	}
	v.Relations = v.Mentioned // their definitions count, watched or not
	return v
}
