// Package cluster runs real kvapp processes for tests: it builds the program once per test process, starts `kvapp
// server` children on free ports with directories and logs of their own, kills, stops, pauses and restarts them, and
// finds out who leads. Nodes are numbered from 1, as their names n1, n2, n3 are.
//
// Whatever a test does, its children end with it, also when the test process itself is killed. A child that ends by
// itself, panics or reports a data race fails its test, and the last lines of every node's log are printed then.
//
//	func TestMain(m *testing.M) { cluster.Main(m) }
//
//	func TestKill(t *testing.T) {
//		c := cluster.Start(t, cluster.Options{})
//		lead := c.Leader()
//		c.Kill(lead)
//		c.Start(lead)
//		c.WaitReady()
//	}
//
// A Cluster's methods may be called by any goroutine, except those that fail the test (they say so): these belong to
// the goroutine of the test.
package cluster
