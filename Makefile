# Everything here works on a fresh clone. `make test` needs Go and make only; the others say what they miss.

GO       ?= go
FUZZTIME ?= 10s
SOAK     ?= 10
SOAKSIM  ?= 30m
DIFF_FOR ?= 1h
# Run by version and not as a `tool` of go.mod: its dependencies are none of the server's, and `make test` must not
# resolve them.
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Build tags of the tests that need other programs.
TAGS = oracle,clients
# Directories with tests under a tag.
tagged = $(sort $(dir $(shell grep -rl --include='*_test.go' '^//go:build $(1)' .)))
need   = command -v $(1) >/dev/null || { echo "make $@ needs $(1) (Debian: apt-get install $(2))"; exit 1; }

.PHONY: help build run test race diff diff-soak clients failover queues bigstate sim soak explore mutants fuzz bench bench-engine bench-raft lint cover clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

build: ## bin/kvapp
	$(GO) build -o bin/kvapp ./cmd/kvapp

run: build ## a three-node cluster on 127.0.0.1:7001-7003, data under ./kvapp-dev; Ctrl-C stops it
	./bin/kvapp dev

test: ## everything that must pass on a fresh machine
	$(GO) vet ./...
	$(GO) test ./...

race: ## the same tests, with fewer random histories, under the race detector, and with the keyspace's arena on the Go heap
	$(GO) test -race ./...

diff: build ## replies and tools compared with the live redis-server
	@$(call need,redis-server,redis-server)
	@$(call need,redis-cli,redis-tools)
	$(GO) test -tags oracle $(call tagged,oracle)

diff-soak: ## fresh random commands, transactions and waits beside the live redis-server for DIFF_FOR (1h); says how many
	@$(call need,redis-server,redis-server)
	$(GO) test -count 1 -timeout 0 -v -tags oracle -run Fresh ./fsm ./resp -differ.for $(DIFF_FOR)

# The interpreter that finds redis-py: Debian's package belongs to /usr/bin/python3, whatever else is in the PATH.
python = $(shell for p in python3 /usr/bin/python3; do "$$p" -c 'import redis' 2>/dev/null && { command -v "$$p"; break; }; done)

clients: ## client libraries of Go, npm and Python against a cluster whose leader is killed
	@$(call need,node,nodejs)
	@$(call need,npm,npm)
	@$(call need,redis-cli,redis-tools)
	@$(call need,redis-benchmark,redis-tools)
	@node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' || { echo "make $@ needs Node.js 20 or newer, this is $$(node --version)"; exit 1; }
	@test -n "$(python)" || { echo "make $@ needs redis-py (Debian: apt-get install python3-redis)"; exit 1; }
	npm ci --prefix internal/clients/node --no-audit --no-fund --loglevel error
	PYTHON=$(python) $(GO) test -count 1 -parallel 8 -tags clients ./internal/clients

failover: ## what clients notice of 20 SIGTERMs and 20 kill -9 of leaders; on a machine that does nothing else
	E2E_ROUNDS=20 $(GO) test -count 1 -v -run 'TestSigtermHandsOver|TestCounterWhileLeadersAreKilled' ./internal/e2e

queues: ## worker queues on lists and on streams lose and double nothing while 20 leaders are killed
	E2E_ROUNDS=20 $(GO) test -count 1 -v -timeout 30m -run 'QueueWhileLeadersAreKilled' ./internal/e2e

bigstate: ## a gigabyte reaches a new node while clients write and its connections are cut
	E2E_STATE_MB=1024 $(GO) test -count 1 -v -timeout 30m -run TestLargeStateReachesANewNode ./internal/e2e

sim: build ## 2,000 small and 50 large simulated clusters, every invariant after every event; under 5 minutes
	./bin/kvapp sim --seeds 1..2000 --small --corners
	./bin/kvapp sim --seeds 1..50 --large

soak: build ## fresh simulated clusters for SOAKSIM (30m), then real nodes killed, paused and damaged SOAK (10) times; an hour
	./bin/kvapp sim --for $(SOAKSIM)
	$(GO) test -count $(SOAK) -timeout 0 ./internal/e2e

explore: ## every state of small clusters, the large worlds too
	$(GO) test -run TestWorlds -count 1 -timeout 0 -v ./sim/explore -deep

mutants: ## plants bugs into a copy of the tree and asks who notices; writes docs/mutants.md
	$(GO) run ./internal/mutants

fuzz: ## every fuzz target for FUZZTIME (10s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  list=$$($(GO) test -list '^Fuzz' "$$dir"); \
	  for target in $$(echo "$$list" | grep '^Fuzz'); do \
	    echo "== $$dir $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir"; \
	  done; \
	done

bench: build ## requests/s, latency and CPU beside redis-server, in one run; under 5 minutes
	@$(call need,redis-server,redis-server)
	@$(call need,redis-benchmark,redis-tools)
	$(GO) run ./internal/bench

bench-engine: ## memory, GC, apply, snapshots, deletions of the state machine beside redis-server; a table in bench-out/engine.md
	@$(call need,redis-server,redis-server)
	$(GO) run ./internal/bench/engine -o bench-out/engine.md

bench-raft: ## events/s of the consensus core beside go.etcd.io/raft/v3, simulated, in one run
	cd internal/bench/rawnode && $(GO) test -count 1 . && $(GO) run .

lint: ## gofmt, go vet and staticcheck over all build tags, go.mod
	@test -z "$$(gofmt -l .)" || { echo "not gofmt'ed:"; gofmt -l .; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	$(GO) vet -tags heapslab ./fsm/...
	$(GO) run $(STATICCHECK) -tags $(TAGS) ./...
	$(GO) mod tidy -diff
	cd internal/bench/rawnode && $(GO) vet . && $(GO) mod tidy -diff

cover: ## statement coverage per package and in all
	$(GO) test -coverprofile=cover.out ./...
	@$(GO) tool cover -func=cover.out | tail -1

clean: ## remove what the other targets made; data stays
	rm -rf bin cover.out bench-out
