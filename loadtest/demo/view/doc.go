// Package view shows a shop's business in a terminal while it goes on, and sums it
// up at the end.
//
// On a terminal it redraws its lines in place; elsewhere, and where NO_COLOR or
// TERM=dumb asks for it, it writes plain lines every few seconds. It shows only
// what it is given: it measures nothing, and a figure that is not known is a dash.
//
// A View is for one goroutine.
package view
