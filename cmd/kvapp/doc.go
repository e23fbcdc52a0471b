// Command kvapp is the server: it reads the settings, opens the node's directory, wires the packages together and runs
// them until it is told to stop. It is the only package that knows all the others, and main the only place that ends
// the process.
//
//	main.go       commands and exit status
//	server.go     kvapp server: settings from flags, environment and file
//	dev.go        kvapp dev: a whole cluster of child processes on this machine
//	serve.go      the client port, and the node behind it
//	instance.go   the node on its directory: open -> wire -> run -> close
//	bootstrap.go  the first start: founding members, registration, wiped disks
//	recover.go    kvapp recover: a new cluster of what is left
//	origin.go     how the node of a directory came to be
//	join.go       how a node joins a running cluster
//	ask.go        asks another node, as its client
//	adapters.go   joins packages that do not know each other
//	listen.go     several addresses as one listener
//	members.go    the cluster line
//	pidfile.go    the process id in a file
//	logging.go    log lines in Redis' shape
package main
