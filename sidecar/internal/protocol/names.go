package protocol

// StatementOfBind returns the name of the prepared statement in the body of a Bind.
// ok is false if the body is cut off before its end.
func StatementOfBind(body []byte) (name []byte, ok bool) {
	_, rest, ok := CutString(body)
	if !ok {
		return nil, false
	}
	name, _, ok = CutString(rest)
	return name, ok
}

// StatementOfDescribe returns the name of the prepared statement in the body of a
// Describe. ok is false if it describes a portal, or is cut off.
func StatementOfDescribe(body []byte) (name []byte, ok bool) {
	if len(body) == 0 || body[0] != 'S' {
		return nil, false
	}
	name, _, ok = CutString(body[1:])
	return name, ok
}
