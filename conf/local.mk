# The configuration that is installed, and examples. Each is loaded by a test.

exampledir = $(docdir)/examples
dist_example_DATA = \
	conf/argfield.yaml \
	conf/balance.yaml \
	conf/base255.yaml \
	conf/breaker.yaml \
	conf/bridge.yaml \
	conf/consul.yaml \
	conf/correlate.yaml \
	conf/dns.yaml \
	conf/etcd.yaml \
	conf/file.yaml \
	conf/governance.yaml \
	conf/grpc.yaml \
	conf/identity.yaml \
	conf/lanes.yaml \
	conf/legacy-framed.yaml \
	conf/limits.yaml \
	conf/lookup.yaml \
	conf/mesh.yaml \
	conf/multiplex.yaml \
	conf/nacos.yaml \
	conf/outbound.yaml \
	conf/proxy-v2.yaml \
	conf/quickstart.yaml \
	conf/services.json \
	conf/simulate.yaml \
	conf/retry.yaml \
	conf/routes.yaml \
	conf/run.yaml \
	conf/streaming.yaml \
	conf/tracing.yaml \
	conf/zookeeper.yaml
EXTRA_DIST += conf/bridled.yaml

kubernetesdir = $(exampledir)/kubernetes
dist_kubernetes_DATA = conf/kubernetes/sidecar.yaml

# What an operator has written is never written over.
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(sysconfdir)/bridled"
	test -f "$(DESTDIR)$(sysconfdir)/bridled/bridled.yaml" || \
	$(INSTALL_DATA) "$(srcdir)/conf/bridled.yaml" "$(DESTDIR)$(sysconfdir)/bridled/bridled.yaml"

# ... nor taken away, unless it is ours to the letter.
uninstall-local:
	if cmp -s "$(srcdir)/conf/bridled.yaml" "$(DESTDIR)$(sysconfdir)/bridled/bridled.yaml"; then \
		rm -f "$(DESTDIR)$(sysconfdir)/bridled/bridled.yaml"; \
	fi
