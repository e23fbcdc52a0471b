// Package race tells tests whether the race detector is on. It makes everything some ten times as slow, and finds in a tenth of
// the random histories the same races as in all of them: what a test means to find by their number, the plain run finds.
package race

// Share is n, or a tenth of it under the race detector, but at least one.
func Share(n int) int {
	if Enabled {
		return max(1, n/10)
	}
	return n
}
