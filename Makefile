# Each target installs what it needs and may be the first one run on a fresh machine.
# CARGO_TARGET_DIR is not honoured: tests, demo and image take the binary from target/release.
.PHONY: build demo test bench soak fmt clean

unexport CARGO_TARGET_DIR

build: ## the release binary, target/release/podssh
	@scripts/install build
	@patches/apply
	@cargo build --release --locked --quiet

demo: build ## a workspace behind a real gateway on this machine; DEMO_ARGS=--once proves it and ends
	@scripts/install demo
	@scripts/demo $(DEMO_ARGS)

test: ## everything; what cannot run counts as failed
	@scripts/test

bench: build ## podssh against OpenSSH's sshd; QUICK=1 takes minutes, ONLY=bulk,sftp some parts, SSHD=10 compares with OpenSSH 10
	@scripts/install bench
	@. scripts/env.sh && $$PODSSH_PYTHON tests/bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(SSHD),--sshd$(SSHD))

soak: ## hours of mixed load
	@echo "make soak: not built yet" >&2; exit 69

fmt: ## format the code
	@patches/apply
	@cargo fmt

clean: ## what was built here; the tools below PODSSH_CACHE stay
	@rm -rf target
