//go:build !race

package master

// searchDepth is how many things happen in a row.
const searchDepth = 12
