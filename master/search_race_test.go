//go:build race

package master

// searchDepth is less with the race detector, which has nothing to find in one goroutine and makes it slow.
const searchDepth = 10
