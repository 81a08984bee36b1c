// Package memory is the first tier: values of this process, found by hash, in
// at most so many bytes. It is the only importer of Ristretto, whose sharp
// edges it files off:
//
//   - A value is visible to Get when Set returns, unless admission refused it.
//     Ristretto alone sets later, drops sets under load, and of two sets of an
//     absent key keeps the older.
//   - Close may run beside every other method.
//   - Every item is charged what it costs to hold it.
//   - Who stays is decided here, by what an item saves: its uses, times how long its
//     load took, for each of its bytes. Ristretto knows neither, loses some of the
//     reads that it should count, and prefers who comes to who is as popular.
//   - The items that everybody asks for stand in front of it, where they are found
//     without a lock.
//
// It does not compare keys, know of expiry or decide whether a value may still
// be served: two keys with one hash replace each other, and whoever gets a value
// checks it. Forgetting a value is always allowed, and Del is housekeeping.
//
// All methods may be called concurrently.
package memory
