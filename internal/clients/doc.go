// Package clients tests real client libraries against a real cluster: go-redis and rueidis (Go), ioredis and node-redis
// (npm), redis-py (Debian's python3-redis), redis-cli and redis-benchmark. Its tests need all of them and stand behind the
// build tag clients; `make clients` runs them and says what to install.
//
// A library is driven through one small interface, client, by names such as "hset". Behind it the library's own
// methods are called with its default settings: in this process for Go, in a child process for the others, which
// reads one JSON call per line and writes one JSON answer per line (python/adapter.py, node/*.js). So one workload and
// one model of what must come back, both in Go, serve all of them.
//
// The workloads:
//
//   - mixed: 1,000 operations over every type, each reply compared with the model;
//   - failover: writers with unique values while the leader is killed or paused; afterwards every acknowledged write
//     is there, and nothing was executed twice because of what the server answered.
package clients
