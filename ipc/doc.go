// Package ipc is the vocabulary and the wire that a master and its workers share.
//
// The vocabulary: a [Task] names a key, a target and args; a [Runner] takes tasks and gives back one [Outcome] each;
// an [Error] says in one word, its [Kind], what went wrong. Values travel as [Raw], encoded once and decoded only by
// whoever wants them.
//
// The wire: [Encoder] and [Decoder] carry requests down to a worker and answers back up, as msgpack tuples or as JSON
// lines ([Wire]). PROTOCOL.md beside this package is written for the author of a worker in any language.
//
// The package starts no process and no goroutine.
package ipc
