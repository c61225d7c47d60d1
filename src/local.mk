# Everything but main() is in libraries; the daemon and every test link them. wire/ and rpc/ read
# what strangers send, so they are built with stricter warnings.

EXTRA_DIST += src/LAYERS src/LIBRARIES

noinst_LIBRARIES += src/libcodec.a src/libbridle.a

src_libcodec_a_CPPFLAGS = $(AM_CPPFLAGS) $(NGHTTP2_CFLAGS)
src_libcodec_a_CFLAGS = $(AM_CFLAGS) $(STRICT_CFLAGS)
src_libcodec_a_SOURCES = \
	src/base/address.c src/base/address.h \
	src/base/arena.c src/base/arena.h \
	src/base/base64.c src/base/base64.h \
	src/base/clock.c src/base/clock.h \
	src/base/completion.c src/base/completion.h \
	src/base/cursor.h \
	src/base/err.c src/base/err.h \
	src/base/http2_limits.c src/base/http2_limits.h \
	src/base/list.h \
	src/base/hex.h \
	src/base/log.c src/base/log.h \
	src/base/mem.c src/base/mem.h \
	src/base/protocol.c src/base/protocol.h \
	src/base/rate.h \
	src/base/reason.c src/base/reason.h \
	src/base/ref.h \
	src/base/rng.c src/base/rng.h \
	src/base/secret.c src/base/secret.h \
	src/base/slice.c src/base/slice.h \
	src/base/stat.c src/base/stat.h \
	src/base/table.c src/base/table.h \
	src/base/text.c src/base/text.h \
	src/base/usage.c src/base/usage.h \
	src/base/utf8.c src/base/utf8.h \
	src/base/wheel.c src/base/wheel.h \
	src/rpc/attest.c src/rpc/attest.h \
	src/rpc/base_resp.c \
	src/rpc/cargo.c src/rpc/cargo.h \
	src/rpc/carrier.c src/rpc/carrier.h \
	src/rpc/carry.c src/rpc/carry.h \
	src/rpc/changes.c src/rpc/changes.h \
	src/rpc/codec.c src/rpc/codec.h src/rpc/codec_ops.h \
	src/rpc/codec_h2.c src/rpc/codec_h2.h \
	src/rpc/codec_h2_calls.c \
	src/rpc/codec_h2_inflate.c src/rpc/codec_h2_inflate.h \
	src/rpc/codec_h2_read.c \
	src/rpc/codec_h2_write.c \
	src/rpc/codec_ttstream.c \
	src/rpc/codec_unary.c \
	src/rpc/convert.c \
	src/rpc/entries.c src/rpc/entries.h \
	src/rpc/exception.c src/rpc/exception.h \
	src/rpc/facts.c src/rpc/facts.h \
	src/rpc/frame_queue.c src/rpc/frame_queue.h \
	src/rpc/grpc_head.c src/rpc/grpc_head.h \
	src/rpc/h2_fields.c src/rpc/h2_fields.h \
	src/rpc/h2_flood.c src/rpc/h2_flood.h \
	src/rpc/h2_head.c src/rpc/h2_head.h \
	src/rpc/h2_memory.c src/rpc/h2_memory.h \
	src/rpc/h2_queue.c src/rpc/h2_queue.h \
	src/rpc/h2_stream.c src/rpc/h2_stream.h \
	src/rpc/handed_on.c src/rpc/handed_on.h \
	src/rpc/head.h \
	src/rpc/head_edit.c \
	src/rpc/head_mesh.c \
	src/rpc/head_new.c \
	src/rpc/head_read.c \
	src/rpc/head_write.c src/rpc/head_write.h \
	src/rpc/header_seen.c src/rpc/header_seen.h \
	src/rpc/introduction.c src/rpc/introduction.h \
	src/rpc/lift.c \
	src/rpc/message.c src/rpc/message.h \
	src/rpc/metadata.c src/rpc/metadata.h \
	src/rpc/metadata_spelling.c \
	src/rpc/probe.c src/rpc/probe.h \
	src/rpc/sections.c src/rpc/sections.h \
	src/rpc/status.c src/rpc/status.h \
	src/rpc/trace_context.c src/rpc/trace_context.h \
	src/rpc/trace_name.c src/rpc/trace_name.h \
	src/rpc/tts.h \
	src/rpc/tts_streams.c \
	src/rpc/tts_write.c \
	src/wire/crc32c.c src/wire/crc32c.h \
	src/wire/grpc.c src/wire/grpc.h \
	src/wire/kitexpb.c src/wire/kitexpb.h \
	src/wire/proxy_v2.c src/wire/proxy_v2.h \
	src/wire/sniff.c src/wire/sniff.h \
	src/wire/thrift.c src/wire/thrift.h \
	src/wire/ttheader.c src/wire/ttheader.h \
	src/wire/ttstream.c src/wire/ttstream.h \
	src/wire/wire.h

src_libbridle_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(OPENSSL_CFLAGS) $(YAML_CFLAGS) $(CJSON_CFLAGS) $(CARES_CFLAGS) \
	$(XXHASH_CFLAGS)
src_libbridle_a_SOURCES = \
	src/ctl/answer.c src/ctl/answer.h \
	src/ctl/capture.c src/ctl/capture.h \
	src/ctl/command.h \
	src/ctl/ctl.c \
	src/ctl/drain.c \
	src/ctl/dump.c src/ctl/dump.h \
	src/ctl/dump_calls.c src/ctl/dump_calls.h \
	src/ctl/dump_frame.c src/ctl/dump_frame.h \
	src/ctl/dump_h2.c src/ctl/dump_h2.h \
	src/ctl/dump_h2_block.c \
	src/ctl/dump_h2_data.c \
	src/ctl/dump_lane.c \
	src/ctl/dump_print.c src/ctl/dump_print.h \
	src/ctl/dump_proxy.c \
	src/ctl/dump_run.c \
	src/ctl/dump_unary.c \
	src/ctl/endpoint.c \
	src/ctl/errors.c \
	src/ctl/explain.c \
	src/ctl/far_end.c src/ctl/far_end.h \
	src/ctl/following.c src/ctl/following.h \
	src/ctl/history.c \
	src/ctl/log.c \
	src/ctl/pools.c \
	src/ctl/reload.c \
	src/ctl/show.c \
	src/ctl/shown.c src/ctl/shown.h \
	src/ctl/simulate.c \
	src/ctl/simulated_admit.c src/ctl/simulated_admit.h \
	src/ctl/simulated_call.c src/ctl/simulated_call.h \
	src/ctl/simulation.c src/ctl/simulation.h \
	src/ctl/simulation_config.c src/ctl/simulation_config.h \
	src/ctl/simulation_plan.c src/ctl/simulation_plan.h \
	src/ctl/simulation_report.c \
	src/ctl/terminal.c src/ctl/terminal.h \
	src/ctl/thrift_view.c src/ctl/thrift_view.h \
	src/ctl/tap.c \
	src/ctl/tap_print.c src/ctl/tap_print.h \
	src/ctl/tcp_segment.c src/ctl/tcp_segment.h \
	src/ctl/tcp_streams.c src/ctl/tcp_streams.h \
	src/ctl/timeline.c src/ctl/timeline.h \
	src/ctl/top.c \
	src/ctl/top_frame.c src/ctl/top_frame.h \
	src/ctl/top_json.c src/ctl/top_json.h \
	src/ctl/top_rows.c src/ctl/top_rows.h \
	src/ctl/upgrade.c \
	src/ctl/why.c \
	src/ctl/words.c \
	src/daemon/acceptor.c src/daemon/acceptor.h \
	src/daemon/admin.c src/daemon/admin.h \
	src/daemon/admin_client.c src/daemon/admin_client.h \
	src/daemon/admin_discovery.c \
	src/daemon/admin_drain.c \
	src/daemon/admin_endpoints.c \
	src/daemon/admin_errors.c \
	src/daemon/admin_explain.c src/daemon/admin_explain.h \
	src/daemon/admin_front.c \
	src/daemon/admin_pages.h \
	src/daemon/admin_pools.c \
	src/daemon/admin_reply.c src/daemon/admin_reply.h \
	src/daemon/admin_routes.h \
	src/daemon/admin_services.c \
	src/daemon/admin_status.c \
	src/daemon/admin_tap.c \
	src/daemon/admin_upgrade.c \
	src/daemon/bindings.c src/daemon/bindings.h \
	src/daemon/config_watch.c src/daemon/config_watch.h \
	src/daemon/control.c src/daemon/control.h \
	src/daemon/control_ready.c \
	src/daemon/control_stop.c \
	src/daemon/discovery.c src/daemon/discovery.h src/daemon/discovery_impl.h \
	src/daemon/discovery_follow.c \
	src/daemon/discovery_sets.c \
	src/daemon/effective.c src/daemon/effective.h \
	src/daemon/endpoint_orders.c src/daemon/endpoint_orders.h \
	src/daemon/enrolment.c src/daemon/enrolment.h \
	src/daemon/fixed_keys.c src/daemon/fixed_keys.h \
	src/daemon/found_names.c src/daemon/found_names.h \
	src/daemon/governance.c src/daemon/governance.h \
	src/daemon/hosted.c src/daemon/hosted.h \
	src/daemon/hosted_environment.c \
	src/daemon/http.c src/daemon/http.h \
	src/daemon/http_query.c src/daemon/http_query.h \
	src/daemon/http_server.c src/daemon/http_server.h \
	src/daemon/inheritance.c src/daemon/inheritance.h \
	src/daemon/liveness.c src/daemon/liveness.h \
	src/daemon/log_format.c src/daemon/log_format.h \
	src/daemon/log_writer.c src/daemon/log_writer.h \
	src/daemon/logs.c src/daemon/logs.h \
	src/daemon/lookups.c src/daemon/lookups.h \
	src/daemon/metadata_forward.c src/daemon/metadata_forward.h \
	src/daemon/metadata_socket.c src/daemon/metadata_socket.h \
	src/daemon/metrics.c src/daemon/metrics.h \
	src/daemon/metrics_calls.c src/daemon/metrics_calls.h \
	src/daemon/metrics_family.c src/daemon/metrics_family.h \
	src/daemon/metrics_governance.c src/daemon/metrics_governance.h \
	src/daemon/metrics_policies.c src/daemon/metrics_policies.h \
	src/daemon/metrics_registrations.c src/daemon/metrics_registrations.h \
	src/daemon/metrics_registries.c src/daemon/metrics_registries.h \
	src/daemon/notify.c src/daemon/notify.h \
	src/daemon/options.c src/daemon/options.h \
	src/daemon/overload_watch.c src/daemon/overload_watch.h \
	src/daemon/own_addresses.c src/daemon/own_addresses.h \
	src/daemon/publication.c \
	src/daemon/readiness.c src/daemon/readiness.h \
	src/daemon/registration_address.c src/daemon/registration_address.h \
	src/daemon/registrations.c src/daemon/registrations.h src/daemon/registrations_impl.h \
	src/daemon/reload.c src/daemon/reload.h \
	src/daemon/retirement.c src/daemon/retirement.h \
	src/daemon/signals.c src/daemon/signals.h \
	src/daemon/span_json.c src/daemon/span_json.h \
	src/daemon/status_page.h \
	src/daemon/successor.c src/daemon/successor.h \
	src/daemon/taps.c src/daemon/taps.h \
	src/daemon/thread.c src/daemon/thread.h \
	src/daemon/trace_export.c src/daemon/trace_export.h \
	src/daemon/traffic.c src/daemon/traffic.h \
	src/daemon/upgrade.c src/daemon/upgrade.h \
	src/daemon/upgrade_channel.c src/daemon/upgrade_channel.h \
	src/daemon/upgrade_spawn.c src/daemon/upgrade_spawn.h \
	src/daemon/worker_thread.c src/daemon/worker_thread.h \
	src/daemon/workers.c src/daemon/workers.h \
	src/net/conn.c src/net/conn.h \
	src/net/file_watch.c src/net/file_watch.h \
	src/net/http_ask.c src/net/http_ask.h \
	src/net/http_client.c src/net/http_client.h \
	src/net/http_link.c src/net/http_link.h \
	src/net/inbox.c src/net/inbox.h \
	src/net/listener.c src/net/listener.h \
	src/net/local_address.c src/net/local_address.h \
	src/net/loop.c src/net/loop.h \
	src/net/output.c src/net/output.h \
	src/net/process.c src/net/process.h \
	src/net/socket_file.c src/net/socket_file.h \
	src/net/tls.c src/net/tls.h \
	src/model/access_field.c src/model/access_field.h \
	src/model/admission.c src/model/admission.h \
	src/model/balance.c src/model/balance.h \
	src/model/balance_groups.c \
	src/model/caller.c src/model/caller.h \
	src/model/breaker_tally.c \
	src/model/check_listener.c \
	src/model/check_listeners.c \
	src/model/check_metadata.c \
	src/model/check_policies.c \
	src/model/check_protocols.c \
	src/model/check_registrations.c \
	src/model/check_registries.c \
	src/model/check_retries.c \
	src/model/check_routes.c \
	src/model/check_services.c \
	src/model/config.h \
	src/model/config_allow.c src/model/config_allow.h \
	src/model/config_bind.c src/model/config_bind.h \
	src/model/config_changes.c \
	src/model/config_carrier.c \
	src/model/config_check.c src/model/config_check.h \
	src/model/config_derive.c \
	src/model/config_discover.c \
	src/model/config_dump.c src/model/config_dump.h \
	src/model/config_env.c \
	src/model/config_expect.c \
	src/model/config_fact.c \
	src/model/config_fill.c \
	src/model/config_keys.h \
	src/model/config_load.c src/model/config_load.h \
	src/model/config_location.c \
	src/model/config_manual.c \
	src/model/config_map.c src/model/config_map.h \
	src/model/config_match.c \
	src/model/config_merge.c \
	src/model/config_net.c \
	src/model/config_number.c \
	src/model/config_on.c \
	src/model/config_override.c \
	src/model/config_peer.c \
	src/model/config_policy.c \
	src/model/config_regex.c \
	src/model/config_registry.c \
	src/model/config_retry.c \
	src/model/config_route.c \
	src/model/config_schema.c \
	src/model/config_services.c \
	src/model/config_share.c \
	src/model/config_slot.c \
	src/model/config_source.c src/model/config_source.h \
	src/model/config_subset.c \
	src/model/config_tests.c src/model/config_tests.h \
	src/model/config_text.c \
	src/model/config_url.c \
	src/model/config_word.c \
	src/model/deciding.c src/model/deciding.h \
	src/model/explain.c src/model/explain.h \
	src/model/endpoint_tally.c \
	src/model/explain_ask.c src/model/explain_ask.h \
	src/model/explain_json.c \
	src/model/explain_policy.c src/model/explain_policy.h \
	src/model/file_snapshot.c src/model/file_snapshot.h \
	src/model/guards.c src/model/guards.h \
	src/model/host.c src/model/host.h \
	src/model/key_path.c src/model/key_path.h \
	src/model/keys_guard.c \
	src/model/keys_listener.c \
	src/model/keys_policy.c \
	src/model/keys_registry.c \
	src/model/keys_route.c \
	src/model/keys_service.c \
	src/model/keys_test.c \
	src/model/keys_top.c \
	src/model/limit_pots.c src/model/limit_pots.h \
	src/model/limit_tally.c \
	src/model/nearest.c src/model/nearest.h \
	src/model/problems.c src/model/problems.h \
	src/model/route.c src/model/route.h \
	src/model/route_changes.c src/model/route_changes.h \
	src/model/route_group.c src/model/route_group.h \
	src/model/route_name.c src/model/route_name.h \
	src/model/sample_call.c src/model/sample_call.h \
	src/model/snapshot.c src/model/snapshot.h \
	src/model/tally.c src/model/tally.h src/model/tally_head.h \
	src/model/warn.c src/model/warn.h src/model/config_warn.h \
	src/model/warn_balance.c \
	src/model/warn_guard.c \
	src/model/warn_metadata.c \
	src/model/warn_registry.c \
	src/model/warn_route.c \
	src/model/warn_time.c \
	src/model/yaml.c src/model/yaml.h \
	src/model/yaml_tree.c \
	src/policy/breaker.c src/policy/breaker.h \
	src/policy/budget.c src/policy/budget.h \
	src/policy/code_list.h \
	src/policy/deadline.c src/policy/deadline.h \
	src/policy/eject.c src/policy/eject.h \
	src/policy/fact.c src/policy/fact.h \
	src/policy/health.c src/policy/health.h \
	src/policy/latency.c src/policy/latency.h \
	src/policy/lb.c src/policy/lb.h src/policy/lb_impl.h \
	src/policy/lb_load.c \
	src/policy/lb_maglev.c \
	src/policy/lb_place.c \
	src/policy/lb_random.c \
	src/policy/lb_ring.c \
	src/policy/lb_rr.c \
	src/policy/lb_stride.c \
	src/policy/limiter.c src/policy/limiter.h \
	src/policy/match.c src/policy/match.h \
	src/policy/retry.c src/policy/retry.h \
	src/proxy/access.c src/proxy/access.h \
	src/proxy/access_line.c src/proxy/access_line.h \
	src/proxy/access_log.c src/proxy/access_log.h \
	src/proxy/admit.c src/proxy/admit.h \
	src/proxy/attempt.c src/proxy/attempt.h \
	src/proxy/backend.c src/proxy/backend.h \
	src/proxy/call.c src/proxy/call.h \
	src/proxy/call_edit.c \
	src/proxy/call_stats.c src/proxy/call_stats.h \
	src/proxy/call_steps.c \
	src/proxy/call_told.c src/proxy/call_told.h \
	src/proxy/call_try.c \
	src/proxy/correlation.c src/proxy/correlation.h \
	src/proxy/facts.c src/proxy/facts.h \
	src/proxy/fault_notes.c src/proxy/fault_notes.h \
	src/proxy/health_check.c src/proxy/health_check.h \
	src/proxy/carriage.c src/proxy/carriage.h \
	src/proxy/downstream.c src/proxy/downstream.h \
	src/proxy/downstream_drain.c \
	src/proxy/downstream_events.c \
	src/proxy/identity.c src/proxy/identity.h \
	src/proxy/introduction.c src/proxy/introduction.h \
	src/proxy/line.c src/proxy/line.h \
	src/proxy/metadata_page.c src/proxy/metadata_page.h \
	src/proxy/mirror.c src/proxy/mirror.h \
	src/proxy/naming.c src/proxy/naming.h \
	src/proxy/oneway_notes.c src/proxy/oneway_notes.h \
	src/proxy/overload.c src/proxy/overload.h \
	src/proxy/relay.c src/proxy/relay.h \
	src/proxy/settling.c src/proxy/settling.h \
	src/proxy/slot_queue.c src/proxy/slot_queue.h \
	src/proxy/slots.c src/proxy/slots.h \
	src/proxy/span.c src/proxy/span.h \
	src/proxy/tap.c src/proxy/tap.h \
	src/proxy/tap_filter.c src/proxy/tap_filter.h \
	src/proxy/tap_line.c src/proxy/tap_line.h \
	src/proxy/trace.c src/proxy/trace.h \
	src/proxy/tying.c src/proxy/tying.h \
	src/proxy/upstream.c src/proxy/upstream.h \
	src/proxy/upstream_connect.c \
	src/proxy/upstream_events.c \
	src/proxy/upstream_find.c \
	src/proxy/upstream_name.c src/proxy/upstream_name.h \
	src/proxy/worker.c src/proxy/worker.h \
	src/proxy/world.c src/proxy/world.h \
	src/registry/cache.c src/registry/cache.h \
	src/registry/cache_read.c \
	src/registry/cache_writer.c src/registry/cache_writer.h \
	src/registry/client.c src/registry/client.h \
	src/registry/consul.c src/registry/consul_impl.h \
	src/registry/consul_agent.c \
	src/registry/consul_lock.c \
	src/registry/consul_read.c src/registry/consul_read.h \
	src/registry/consul_watch.c \
	src/registry/dns.c src/registry/dns.h \
	src/registry/dns_channel.c src/registry/dns_channel.h \
	src/registry/dns_srv.c src/registry/dns_srv.h \
	src/registry/endpoint_list.c \
	src/registry/etcd.c src/registry/etcd_impl.h \
	src/registry/etcd_follow.c \
	src/registry/etcd_lease.c \
	src/registry/etcd_login.c \
	src/registry/etcd_read.c src/registry/etcd_read.h \
	src/registry/etcd_set.c src/registry/etcd_set.h \
	src/registry/etcd_watch.c \
	src/registry/file.c \
	src/registry/file_services.c src/registry/file_services.h \
	src/registry/gathering.c src/registry/gathering.h \
	src/registry/history.c src/registry/history.h \
	src/registry/http_place.c src/registry/http_place.h \
	src/registry/json.c src/registry/json.h \
	src/registry/kitex_governance.c src/registry/kitex_governance.h \
	src/registry/kitex_reading.c src/registry/kitex_reading.h \
	src/registry/kitex_retry.c src/registry/kitex_retry.h \
	src/registry/nacos.c src/registry/nacos_impl.h \
	src/registry/nacos_enroll.c \
	src/registry/nacos_login.c \
	src/registry/nacos_read.c src/registry/nacos_read.h \
	src/registry/nacos_watch.c \
	src/registry/names.c \
	src/registry/record.c src/registry/record.h \
	src/registry/record_agents.c \
	src/registry/record_kitex.c \
	src/registry/record_parts.h \
	src/registry/record_rpcx.c \
	src/registry/registration.c \
	src/registry/registry.c src/registry/registry.h src/registry/registry_impl.h \
	src/registry/registry_same.c \
	src/registry/registry_sets.c \
	src/registry/registry_types.c \
	src/registry/upkeep.c src/registry/upkeep.h \
	src/registry/zookeeper.c src/registry/zookeeper_impl.h \
	src/registry/zookeeper_documents.c \
	src/registry/zookeeper_entries.c \
	src/registry/zookeeper_entry.c src/registry/zookeeper_entry.h \
	src/registry/zookeeper_services.c \
	src/registry/zookeeper_session.c src/registry/zookeeper_session.h \
	src/registry/zookeeper_set.c src/registry/zookeeper_set.h

# The status page becomes a C file; a build directory of its own gets it there.
dist_noinst_SCRIPTS += src/daemon/embed-page
EXTRA_DIST += src/daemon/status_page.html
CLEANFILES += src/daemon/status_page_bytes.c
nodist_src_libbridle_a_SOURCES = src/daemon/status_page_bytes.c

src/daemon/status_page_bytes.c: $(srcdir)/src/daemon/status_page.html $(srcdir)/src/daemon/embed-page
	$(AM_V_GEN)$(MKDIR_P) src/daemon && \
		$(srcdir)/src/daemon/embed-page $(srcdir)/src/daemon/status_page.html >$@.new && mv $@.new $@

BRIDLE_LIBS = src/libbridle.a src/libcodec.a $(EVENT_LIBS) $(OPENSSL_LIBS) $(YAML_LIBS) $(CJSON_LIBS) $(CARES_LIBS) \
	$(NGHTTP2_LIBS) $(XXHASH_LIBS) $(ZOOKEEPER_LIBS)

sbin_PROGRAMS += src/bridled
src_bridled_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
src_bridled_SOURCES = src/daemon/main.c
src_bridled_LDADD = $(BRIDLE_LIBS)

bin_PROGRAMS += src/bridlectl
src_bridlectl_SOURCES = src/ctl/main.c
src_bridlectl_LDADD = $(BRIDLE_LIBS)
