// Package resp is the client's side of the server: it reads commands with redcon behind a guard, decides which way
// each command takes, and writes the replies in RESP2 or RESP3. It owns every error text that is not a data command's,
// and the commands that need no log: the connection's own, CLUSTER, COMMAND, CONFIG, INFO, RAFT and their like.
//
// # One pipeline
//
// redcon hands over everything that one read brought: one command and the pipeline behind it. conn.serve cuts that
// into runs, each a longest possible row of data commands, and executes them in order:
//
//	reads only         node.Client.Read, in pieces, so that replies are flushed when they pass flushBytes
//	from a write on    node.Client.Write: one proposal; reads behind the write ride along, within bounds
//	may have to wait   node.Client.Block, alone; the connection waits for its answer, its time, its end (blocking.go)
//	anything else      ends the run and is executed by the connection's goroutine itself
//
// Between MULTI and EXEC commands are checked and queued (transaction.go). EXEC has those on data executed as one
// fsm.Transaction: by node.Client.Write if any of them writes, else by Read. What a connection watches, watching.go tells.
//
// Replies gather in one Encoder and leave with one write(2) per pipeline, unless they grow or a command has to wait.
//
// # The guard
//
// redcon believes every length it is told and has no limits, so Listener and Conn stand between it and the socket.
// Conn.Read scans what comes by the rules of redis-server and gives redcon whole commands, in canonical RESP, that fit
// the read it asked for; commands that do not, and deep pipelines, go to the handler beside it (Conn.Commands). Errors
// of the protocol, empty commands and inline requests never reach redcon. Conn.Write and Conn.Push are the only ways
// out: replies and messages of other goroutines leave whole, in order, and within the output limits.
//
// # Goroutines
//
//	accept     redcon's accept loop: registers connections, refuses strangers in protected mode
//	conn       one per client, owns its conn; only the fields of clientState are shared, under its mutex
//	sampler    one per Server: rates and the memory peak, every 100 ms
//	sweeper    one per Listener: idle clients and soft limits, every 100 ms
//	drainer    one per connection while replies wait for its socket
//	reader     one per connection while a command of it waits: notices that the client has gone
//
// # Invariants
//
//   - Every command is answered exactly once and in order, unless CLIENT REPLY says otherwise or the connection ends.
//   - An error whose word clients retry (MOVED, CLUSTERDOWN, TRYAGAIN, LOADING) is given only for a command that is in
//     no log; a write of unknown outcome gets UNCERTAIN and the connection stays open.
//   - CLUSTER, INFO, COMMAND, HELLO, CLIENT and CONFIG answer in every state of the node, without Raft.
//   - A panic of one connection's goroutine ends that connection, nothing else.
package resp
