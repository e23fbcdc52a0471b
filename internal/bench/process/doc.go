// Package process starts, watches and stops the programs that the benchmarks measure.
//
// It has no goroutine of its own but one per Server, which waits for the program's end.
package process
