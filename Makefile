# Everything here works on a fresh clone. `make test` needs Go and make only.

GO     ?= go
SEED   ?= 0

.PHONY: build run test race diff clients fuzz bench lint cover clean

build: ## bin/kvapp
	$(GO) build -o bin/kvapp ./cmd/kvapp

run: build ## a three-node cluster on 127.0.0.1:7001-7003, data under ./kvapp-dev; Ctrl-C stops it
	./bin/kvapp dev

test: ## everything that must pass on a fresh machine
	$(GO) vet ./...
	$(GO) test ./...

race:
	$(GO) test -race ./...

diff: ## against the live redis-server
	@command -v redis-server >/dev/null || { echo "make diff needs redis-server (Debian: apt-get install redis-server redis-tools)"; exit 1; }
	$(GO) test -tags oracle ./fsm ./resp

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...

cover:
	$(GO) test -coverprofile=cover.out ./... && $(GO) tool cover -func=cover.out | tail -1

clean:
	rm -rf bin cover.out
