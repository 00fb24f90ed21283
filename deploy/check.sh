#!/usr/bin/env bash
# All static checks of what is shipped to run Relaydesk; `make deploy-check` brings the tools. No cluster,
# no engine and no server is asked. Prints each check with its seconds, and what a failed one said.
set -uo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
OVERLAYS="dev production"
failed=0

missing=0
for tool in kubectl checkov hadolint docker-compose promtool amtool python; do
  command -v "$tool" >/dev/null || { echo "missing: $tool" >&2; missing=1; }
done
[ $missing = 0 ] || { echo "make deploy-check installs all but promtool and amtool (Prometheus, Alertmanager)" >&2; exit 1; }

check() { # check WHAT COMMAND...: run it, tell how it went
  local what=$1 began=$SECONDS
  shift
  if timeout 300 "$@" >"$work/said" 2>&1; then
    echo "ok    $what ($((SECONDS - began)) s)"
  else
    failed=1
    echo "FAIL  $what"
    sed 's/^/      /' "$work/said"
  fi
}

mkdir "$work/manifests"
render() { kubectl kustomize "deploy/k8s/overlays/$1" >"$work/manifests/$1.yaml"; }
export -f render
export work

for overlay in $OVERLAYS; do
  check "kustomize renders $overlay" bash -c "render $overlay"
done
tests="python -m pytest -q --no-header -p no:cacheprovider"
check "manifests fit Kubernetes 1.29 to 1.37, strictly" $tests tests/deploy/test_k8s_schema.py
check "checkov's policies (left out: deploy/checkov.yaml)" checkov --config-file deploy/checkov.yaml -d "$work/manifests"
check "the rules for the operator are those of Prometheus" python -m deploy.k8s.generate --check
check "hadolint: deploy/Dockerfile" hadolint deploy/Dockerfile
check "docker-compose.yml is understood" env RELAYDESK_SECRET_KEY=k1:none docker-compose config --quiet
check "promtool: rules" promtool check rules deploy/prometheus/rules/*.yml
check "promtool: tests of the rules" promtool test rules deploy/prometheus/tests/*.yml
# syntax-only: the files that it names lie elsewhere in the container
check "promtool: configuration" promtool check config --syntax-only deploy/compose/prometheus.yml
check "amtool: configurations" amtool check-config deploy/compose/alertmanager.yml deploy/prometheus/alertmanager.yml
check "dashboards: written as their tables say, each expression parses" \
  $tests tests/deploy/test_dashboards.py
exit $failed
