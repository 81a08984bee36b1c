// Package block reads the statements that begin and end transactions, and keeps the
// block of a client whose BEGIN is held back.
//
// It is pure: what a statement does is a function of the block, the statement and its
// standing, and whoever asks makes the effects happen. A block that is held back has
// done nothing at Postgres: its Statements make a transaction of Postgres what the
// client believes the block to be.
package block
