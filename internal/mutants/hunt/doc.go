// Package hunt is the simulator as an oracle for mutants: its one test runs simulated clusters of ever new seeds, other
// ones than those that the simulator's own tests keep, and fails at the first in which an invariant breaks. The name of
// what failed tells how many seeds that took and which invariant it was.
package hunt
