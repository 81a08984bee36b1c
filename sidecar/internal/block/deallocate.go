package block

// ParseDeallocate reads a text that ends one prepared statement, whose name is
// quoted or has a digit in it, as drivers write it.
func ParseDeallocate(text string) (name string, ok bool) {
	w := words{rest: text}
	if len(text) > controlLengthMax || !w.accept("DEALLOCATE") {
		return "", false
	}
	w.accept("PREPARE")
	name = w.name()
	w.terminate()
	return name, !w.failed && w.rest == ""
}
