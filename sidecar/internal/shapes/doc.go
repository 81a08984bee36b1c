// Package shapes is the book of what is known of each shape of statement: the analysis'
// verdict on it, what it may write, what its loads cost, whether the rows that its joins
// lead to are worth asking for, and which columns its misses wish were watched.
//
// A shape is a text with its literals replaced, under one state of a session. Its place in
// the book is a Slot, which is of one generation of the schema: a schema change empties the
// book, and a verdict that is found out meanwhile stays in a slot of before, which is not
// Current. A statement of an unknown shape waits a moment for its verdict and passes
// through after that; nothing ever waits for a place in the queue. A failed analysis is
// tried again. A fault of the analysis is a failure like any other.
//
// All methods may be called by any number of goroutines.
package shapes
