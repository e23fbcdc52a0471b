// Command mutants tells what the tests are worth: it plants one bug after the other into a copy of the tree and looks
// whether anything notices. mutants.txt holds the bugs, one or a few lines each, mostly taken from bugs that other
// implementations had, and the oracles: the packages of tests that may notice, in the order in which they are asked.
//
// For every mutant the first oracle that fails is reported, with the test and the CPU seconds until it failed; building is
// not counted. An oracle may use so many CPU seconds, as of one core. An oracle that is asked must pass on the unchanged
// tree, and a mutant whose old text is not there exactly once, or that does not compile, is an error.
//
// Building would take longer than asking. So the mutants that change the body of one function, nearly all, are built together, and
// the one that an oracle is asked about is chosen when its tests begin.
//
// Every answer is kept in bin/mutants.json, so that a run that was interrupted goes on where it ended, and parts make a whole:
// only what an answer depends on makes it be asked for again.
//
//	go run ./internal/mutants                    all of them; writes docs/mutants.md
//	go run ./internal/mutants -known             asks nothing; writes docs/mutants.md from the answers that are kept
//	go run ./internal/mutants -only vote         those whose name matches; prints only
//	go run ./internal/mutants -ask '^sim$'       only these oracles; prints only
//
//	main.go    flags, the order of things
//	table.go   reads mutants.txt, plants a mutant
//	run.go     the copy of the tree, building and running oracles
//	weave.go   many mutants in one tree
//	kept.go    answers of earlier runs
//	report.go  docs/mutants.md
//	hunt       the simulator as an oracle
package main
