# Unit tests: one program for each module. A test program's name is its source; add it to
# UNIT_TESTS. tests/support has what they share, for instance the golden frames.

AM_CPPFLAGS += -I$(top_srcdir)/tests
LDADD = $(TEST_SUPPORT) $(BRIDLE_LIBS) $(CHECK_LIBS)

UNIT_TESTS = \
	tests/unit/test_acceptor \
	tests/unit/test_access_log \
	tests/unit/test_address \
	tests/unit/test_arena \
	tests/unit/test_attest \
	tests/unit/test_balance \
	tests/unit/test_balance_groups \
	tests/unit/test_base_resp \
	tests/unit/test_base64 \
	tests/unit/test_breaker \
	tests/unit/test_budget \
	tests/unit/test_call_stats \
	tests/unit/test_capture \
	tests/unit/test_carry \
	tests/unit/test_carry_merge \
	tests/unit/test_carry_random \
	tests/unit/test_changes \
	tests/unit/test_changes_fields \
	tests/unit/test_codec_convert \
	tests/unit/test_codec_edit \
	tests/unit/test_codec_golden \
	tests/unit/test_codec_h2 \
	tests/unit/test_codec_h2_ends \
	tests/unit/test_codec_h2_failures \
	tests/unit/test_codec_h2_fields \
	tests/unit/test_codec_h2_flood \
	tests/unit/test_codec_h2_flow \
	tests/unit/test_codec_long \
	tests/unit/test_codec_splice \
	tests/unit/test_codec_ttstream \
	tests/unit/test_codec_ttstream_ends \
	tests/unit/test_codec_ttstream_queue \
	tests/unit/test_config_check \
	tests/unit/test_config_derive \
	tests/unit/test_config_dump \
	tests/unit/test_config_load \
	tests/unit/test_config_policy \
	tests/unit/test_config_registry \
	tests/unit/test_config_route \
	tests/unit/test_config_source \
	tests/unit/test_config_tests \
	tests/unit/test_config_warn \
	tests/unit/test_conn \
	tests/unit/test_conn_connect \
	tests/unit/test_consul \
	tests/unit/test_consul_registration \
	tests/unit/test_convert \
	tests/unit/test_convert_back \
	tests/unit/test_ctl \
	tests/unit/test_ctl_explain \
	tests/unit/test_correlation \
	tests/unit/test_cursor \
	tests/unit/test_deadline \
	tests/unit/test_dns \
	tests/unit/test_dump \
	tests/unit/test_eject \
	tests/unit/test_endpoint_orders \
	tests/unit/test_entries \
	tests/unit/test_err \
	tests/unit/test_etcd \
	tests/unit/test_etcd_set \
	tests/unit/test_exception \
	tests/unit/test_explain \
	tests/unit/test_fact \
	tests/unit/test_facts \
	tests/unit/test_file_registry \
	tests/unit/test_following \
	tests/unit/test_found_names \
	tests/unit/test_governance \
	tests/unit/test_grpc_head \
	tests/unit/test_guards \
	tests/unit/test_h2_flood \
	tests/unit/test_h2_memory \
	tests/unit/test_handed_on \
	tests/unit/test_header_seen \
	tests/unit/test_health \
	tests/unit/test_host \
	tests/unit/test_http \
	tests/unit/test_http_ask \
	tests/unit/test_http_client \
	tests/unit/test_http_client_many \
	tests/unit/test_http_query \
	tests/unit/test_http_server \
	tests/unit/test_inbox \
	tests/unit/test_inheritance \
	tests/unit/test_json \
	tests/unit/test_key_path \
	tests/unit/test_kitex_governance \
	tests/unit/test_latency \
	tests/unit/test_lb \
	tests/unit/test_lb_choice \
	tests/unit/test_lb_hash \
	tests/unit/test_lb_rr \
	tests/unit/test_lb_scale \
	tests/unit/test_lift \
	tests/unit/test_limit_tally \
	tests/unit/test_limiter \
	tests/unit/test_list \
	tests/unit/test_listener \
	tests/unit/test_local_address \
	tests/unit/test_log \
	tests/unit/test_log_format \
	tests/unit/test_log_writer \
	tests/unit/test_loop \
	tests/unit/test_match \
	tests/unit/test_message \
	tests/unit/test_metadata \
	tests/unit/test_metadata_forms \
	tests/unit/test_metadata_values \
	tests/unit/test_metrics \
	tests/unit/test_metrics_policies \
	tests/unit/test_metrics_scale \
	tests/unit/test_nacos \
	tests/unit/test_names \
	tests/unit/test_nearest \
	tests/unit/test_options \
	tests/unit/test_output \
	tests/unit/test_overload \
	tests/unit/test_overload_watch \
	tests/unit/test_own_addresses \
	tests/unit/test_probe \
	tests/unit/test_readiness \
	tests/unit/test_reason \
	tests/unit/test_record \
	tests/unit/test_registration \
	tests/unit/test_registrations \
	tests/unit/test_registry \
	tests/unit/test_registry_cache \
	tests/unit/test_registry_history \
	tests/unit/test_retry \
	tests/unit/test_rng \
	tests/unit/test_route \
	tests/unit/test_route_changes \
	tests/unit/test_route_random \
	tests/unit/test_route_rules \
	tests/unit/test_settling \
	tests/unit/test_simulation \
	tests/unit/test_slice \
	tests/unit/test_slot_queue \
	tests/unit/test_slots \
	tests/unit/test_snapshot \
	tests/unit/test_socket_file \
	tests/unit/test_stat \
	tests/unit/test_table \
	tests/unit/test_tally \
	tests/unit/test_tap \
	tests/unit/test_tap_filter \
	tests/unit/test_tap_print \
	tests/unit/test_tcp_streams \
	tests/unit/test_thrift_view \
	tests/unit/test_timeline \
	tests/unit/test_tls \
	tests/unit/test_top \
	tests/unit/test_trace_context \
	tests/unit/test_upgrade_channel \
	tests/unit/test_upstream_name \
	tests/unit/test_usage \
	tests/unit/test_utf8 \
	tests/unit/test_wheel \
	tests/unit/test_wire_crc32c \
	tests/unit/test_wire_golden \
	tests/unit/test_wire_grpc \
	tests/unit/test_wire_kitexpb \
	tests/unit/test_wire_proxy_v2 \
	tests/unit/test_wire_sniff \
	tests/unit/test_wire_thrift \
	tests/unit/test_wire_ttheader \
	tests/unit/test_wire_ttstream \
	tests/unit/test_yaml \
	tests/unit/test_zookeeper_entry \
	tests/unit/test_zookeeper_set

# Scenarios: the proxy on a network that is not there. libsim.a has the symbols of net/ that proxy/
# uses, so it comes before the library that has the real ones.

SIM_TESTS = \
	tests/sim/test_sim_attempts \
	tests/sim/test_sim_backup \
	tests/sim/test_sim_bodies \
	tests/sim/test_sim_breaker \
	tests/sim/test_sim_breaks \
	tests/sim/test_sim_calls \
	tests/sim/test_sim_carriage \
	tests/sim/test_sim_carriage_lift \
	tests/sim/test_sim_carriage_replies \
	tests/sim/test_sim_carriage_tries \
	tests/sim/test_sim_changes \
	tests/sim/test_sim_connect \
	tests/sim/test_sim_correlation \
	tests/sim/test_sim_drain \
	tests/sim/test_sim_eject \
	tests/sim/test_sim_health \
	tests/sim/test_sim_introduction \
	tests/sim/test_sim_limits \
	tests/sim/test_sim_limits_rate \
	tests/sim/test_sim_limits_slots \
	tests/sim/test_sim_lookup \
	tests/sim/test_sim_memory \
	tests/sim/test_sim_mux \
	tests/sim/test_sim_names \
	tests/sim/test_sim_oneway \
	tests/sim/test_sim_order \
	tests/sim/test_sim_pool \
	tests/sim/test_sim_queue \
	tests/sim/test_sim_queue_workers \
	tests/sim/test_sim_retry \
	tests/sim/test_sim_routes \
	tests/sim/test_sim_soak \
	tests/sim/test_sim_stream_bounds \
	tests/sim/test_sim_stream_ends \
	tests/sim/test_sim_stream_tries \
	tests/sim/test_sim_stream_times \
	tests/sim/test_sim_stream_flow \
	tests/sim/test_sim_stream_drain \
	tests/sim/test_sim_stream_convert \
	tests/sim/test_sim_stream_soak \
	tests/sim/test_sim_stream_bridge \
	tests/sim/test_sim_streams \
	tests/sim/test_sim_times

EXTRA_DIST += tests/config tests/explain tests/packaging tests/wire/golden

if HAVE_CHECK
AM_CPPFLAGS += $(CHECK_CFLAGS)
TEST_SUPPORT = tests/support/libsupport.a
check_LIBRARIES += $(TEST_SUPPORT)
tests_support_libsupport_a_SOURCES = \
	tests/support/asked_http.c tests/support/asked_http.h \
	tests/support/asked_registry.c tests/support/asked_registry.h \
	tests/support/balanced.c tests/support/balanced.h \
	tests/support/block.c tests/support/block.h \
	tests/support/bytes.h \
	tests/support/carrying.c tests/support/carrying.h \
	tests/support/changes_text.c tests/support/changes_text.h \
	tests/support/descriptors.c tests/support/descriptors.h \
	tests/support/fake_registry.c tests/support/fake_registry.h \
	tests/support/followed_registry.c tests/support/followed_registry.h \
	tests/support/frames.c tests/support/frames.h \
	tests/support/golden.c tests/support/golden.h \
	tests/support/h2_end.c tests/support/h2_end.h \
	tests/support/h2_frames.c tests/support/h2_frames.h \
	tests/support/h2_pair.c tests/support/h2_pair.h \
	tests/support/http_script.c tests/support/http_script.h \
	tests/support/lb_bench.c tests/support/lb_bench.h \
	tests/support/loaded.c tests/support/loaded.h \
	tests/support/reading.c tests/support/reading.h \
	tests/support/made_capture.c tests/support/made_capture.h \
	tests/support/recorder.c tests/support/recorder.h \
	tests/support/structs.c tests/support/structs.h \
	tests/support/suite.c tests/support/suite.h \
	tests/support/tts_end.c tests/support/tts_end.h \
	tests/support/tts_pair.c tests/support/tts_pair.h

tests_unit_test_access_log_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_etcd_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_ctl_explain_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_ctl_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_dump_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_json_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_record_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_simulation_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_tap_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_tap_print_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_thrift_view_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_unit_test_top_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)

# Some put themselves between the code and the system.
tests_unit_test_codec_ttstream_queue_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=realloc
tests_unit_test_conn_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=recv
tests_unit_test_conn_connect_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=connect
tests_unit_test_lb_scale_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
tests_unit_test_file_registry_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=inotify_init1
tests_unit_test_governance_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=discovery_registry,--wrap=discovery_visit,--wrap=registry_config_of \
	-Wl,--wrap=registry_follow_documents,--wrap=registry_document
tests_unit_test_listener_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=accept4
tests_unit_test_loop_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=timerfd_settime,--wrap=clock_monotonic
tests_unit_test_output_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=send,--wrap=sendmsg
tests_unit_test_readiness_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_monotonic
WRAP_CLOCKS = -Wl,--wrap=clock_monotonic,--wrap=clock_calendar
tests_unit_test_registration_LDFLAGS = $(AM_LDFLAGS) $(WRAP_CLOCKS)
tests_unit_test_registry_LDFLAGS = $(AM_LDFLAGS) $(WRAP_CLOCKS)
tests_unit_test_registry_cache_LDFLAGS = $(AM_LDFLAGS) $(WRAP_CLOCKS)
tests_unit_test_registry_history_LDFLAGS = $(AM_LDFLAGS) $(WRAP_CLOCKS)
tests_unit_test_registrations_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=clock_monotonic,--wrap=discovery_registry,--wrap=local_address_towards
tests_unit_test_socket_file_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=bind,--wrap=rename,--wrap=flock

# To some, time is what the timers make of it.
tests_unit_test_consul_SOURCES = tests/unit/test_consul.c tests/support/idle_clock.c
tests_unit_test_consul_registration_SOURCES = tests/unit/test_consul_registration.c \
	tests/support/idle_clock.c
tests_unit_test_etcd_SOURCES = tests/unit/test_etcd.c tests/support/idle_clock.c
tests_unit_test_file_registry_SOURCES = tests/unit/test_file_registry.c tests/support/idle_clock.c
tests_unit_test_http_client_SOURCES = tests/unit/test_http_client.c tests/support/idle_clock.c
tests_unit_test_http_client_many_SOURCES = tests/unit/test_http_client_many.c \
	tests/support/idle_clock.c
tests_unit_test_nacos_SOURCES = tests/unit/test_nacos.c tests/support/idle_clock.c
tests_unit_test_names_SOURCES = tests/unit/test_names.c tests/support/idle_clock.c

check_LIBRARIES += tests/support/libsim.a
tests_support_libsim_a_SOURCES = \
	tests/support/fake_conn.c tests/support/fake_parts.h \
	tests/support/fake_net.c tests/support/fake_net.h \
	tests/support/sim.c tests/support/sim.h \
	tests/support/sim_frame.c tests/support/sim_frame.h \
	tests/support/stream_end.c tests/support/stream_end.h \
	tests/support/stream_h2.c tests/support/stream_parts.h \
	tests/support/stream_tts.c
tests_support_libsim_a_CPPFLAGS = $(AM_CPPFLAGS) $(NGHTTP2_CFLAGS)
SIM_LIBS = tests/support/libsim.a $(LDADD)
tests_sim_test_sim_attempts_LDADD = $(SIM_LIBS)
tests_sim_test_sim_backup_LDADD = $(SIM_LIBS)
tests_sim_test_sim_bodies_LDADD = $(SIM_LIBS)
tests_sim_test_sim_breaker_LDADD = $(SIM_LIBS)
tests_sim_test_sim_breaks_LDADD = $(SIM_LIBS)
tests_sim_test_sim_calls_LDADD = $(SIM_LIBS)
tests_sim_test_sim_carriage_LDADD = $(SIM_LIBS)
tests_sim_test_sim_carriage_lift_LDADD = $(SIM_LIBS)
tests_sim_test_sim_carriage_replies_LDADD = $(SIM_LIBS)
tests_sim_test_sim_carriage_tries_LDADD = $(SIM_LIBS)
tests_sim_test_sim_changes_LDADD = $(SIM_LIBS)
tests_sim_test_sim_connect_LDADD = $(SIM_LIBS)
tests_sim_test_sim_correlation_LDADD = $(SIM_LIBS)
tests_sim_test_sim_drain_LDADD = $(SIM_LIBS)
tests_sim_test_sim_eject_LDADD = $(SIM_LIBS)
tests_sim_test_sim_health_LDADD = $(SIM_LIBS)
tests_sim_test_sim_introduction_LDADD = $(SIM_LIBS)
tests_sim_test_sim_limits_LDADD = $(SIM_LIBS)
tests_sim_test_sim_limits_rate_LDADD = $(SIM_LIBS)
tests_sim_test_sim_limits_slots_LDADD = $(SIM_LIBS)
tests_sim_test_sim_lookup_LDADD = $(SIM_LIBS)
tests_sim_test_sim_memory_LDADD = $(SIM_LIBS)
tests_sim_test_sim_mux_LDADD = $(SIM_LIBS)
tests_sim_test_sim_names_LDADD = $(SIM_LIBS)
tests_sim_test_sim_oneway_LDADD = $(SIM_LIBS)
tests_sim_test_sim_order_LDADD = $(SIM_LIBS)
tests_sim_test_sim_pool_LDADD = $(SIM_LIBS)
tests_sim_test_sim_queue_LDADD = $(SIM_LIBS)
tests_sim_test_sim_queue_workers_LDADD = $(SIM_LIBS)
tests_sim_test_sim_retry_LDADD = $(SIM_LIBS)
tests_sim_test_sim_routes_LDADD = $(SIM_LIBS)
tests_sim_test_sim_soak_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_bounds_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_ends_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_tries_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_times_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_flow_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_drain_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_convert_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_soak_LDADD = $(SIM_LIBS)
tests_sim_test_sim_stream_bridge_LDADD = $(SIM_LIBS)
tests_sim_test_sim_streams_LDADD = $(SIM_LIBS)
tests_sim_test_sim_times_LDADD = $(SIM_LIBS)

check_PROGRAMS += $(UNIT_TESTS) $(SIM_TESTS)
TESTS += $(UNIT_TESTS) $(SIM_TESTS)
endif

# Fuzz targets: one for each decoder, with a corpus in tests/fuzz/corpus/<name>. Without
# --enable-fuzzers they only replay it; with it, run a target with a folder of your own to fuzz.

FUZZ_TARGETS = \
	tests/fuzz/fuzz_address \
	tests/fuzz/fuzz_capture \
	tests/fuzz/fuzz_carry \
	tests/fuzz/fuzz_changes \
	tests/fuzz/fuzz_codec_h2 \
	tests/fuzz/fuzz_codec_ttstream \
	tests/fuzz/fuzz_codec_unary \
	tests/fuzz/fuzz_config \
	tests/fuzz/fuzz_consul \
	tests/fuzz/fuzz_convert \
	tests/fuzz/fuzz_dump \
	tests/fuzz/fuzz_etcd \
	tests/fuzz/fuzz_explain \
	tests/fuzz/fuzz_facts \
	tests/fuzz/fuzz_governance \
	tests/fuzz/fuzz_grpc \
	tests/fuzz/fuzz_head_edit \
	tests/fuzz/fuzz_http \
	tests/fuzz/fuzz_kitexpb \
	tests/fuzz/fuzz_meshheader \
	tests/fuzz/fuzz_nacos \
	tests/fuzz/fuzz_proxy_v2 \
	tests/fuzz/fuzz_record \
	tests/fuzz/fuzz_registry_cache \
	tests/fuzz/fuzz_sniff \
	tests/fuzz/fuzz_thrift_exception \
	tests/fuzz/fuzz_thrift_view \
	tests/fuzz/fuzz_thrift_walk \
	tests/fuzz/fuzz_trace_context \
	tests/fuzz/fuzz_ttheader

check_PROGRAMS += $(FUZZ_TARGETS)
dist_check_SCRIPTS += tests/fuzz/replay
TESTS += tests/fuzz/replay
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/fuzz.h

if ENABLE_FUZZERS
FUZZ_MAIN = $(FUZZ_LDFLAGS)
else
FUZZ_MAIN = tests/fuzz/libreplay.a
check_LIBRARIES += tests/fuzz/libreplay.a
endif
EXTRA_LIBRARIES = tests/fuzz/libreplay.a
tests_fuzz_libreplay_a_SOURCES = tests/fuzz/replay_main.c

FUZZ_LIBS = $(FUZZ_MAIN) $(BRIDLE_LIBS)
READING = tests/support/frames.c tests/support/frames.h tests/support/reading.c tests/support/reading.h
tests_fuzz_fuzz_address_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_capture_LDADD = $(FUZZ_LIBS)
CARRYING = tests/support/carrying.c tests/support/carrying.h \
	tests/support/changes_text.c tests/support/changes_text.h \
	tests/support/frames.c tests/support/frames.h \
	tests/support/structs.c tests/support/structs.h
tests_fuzz_fuzz_carry_SOURCES = tests/fuzz/fuzz_carry.c $(CARRYING)
tests_fuzz_fuzz_carry_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_changes_SOURCES = tests/fuzz/fuzz_changes.c $(READING)
tests_fuzz_fuzz_changes_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_codec_h2_SOURCES = tests/fuzz/fuzz_codec_h2.c $(READING)
tests_fuzz_fuzz_codec_h2_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_codec_ttstream_SOURCES = \
	tests/fuzz/fuzz_codec_ttstream.c $(READING) \
	tests/support/tts_end.c tests/support/tts_end.h
tests_fuzz_fuzz_codec_ttstream_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_codec_unary_SOURCES = tests/fuzz/fuzz_codec_unary.c $(READING)
tests_fuzz_fuzz_codec_unary_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_config_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_consul_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_convert_SOURCES = tests/fuzz/fuzz_convert.c $(READING)
tests_fuzz_fuzz_convert_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_dump_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_fuzz_fuzz_dump_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_etcd_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_explain_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_fuzz_fuzz_explain_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_facts_SOURCES = \
	tests/fuzz/fuzz_facts.c $(READING) \
	tests/support/tts_end.c tests/support/tts_end.h
tests_fuzz_fuzz_facts_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_governance_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_grpc_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_head_edit_SOURCES = tests/fuzz/fuzz_head_edit.c $(READING)
tests_fuzz_fuzz_head_edit_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_http_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_kitexpb_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_meshheader_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_nacos_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_proxy_v2_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_record_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_record_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_fuzz_fuzz_registry_cache_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_sniff_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_thrift_exception_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_thrift_view_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
tests_fuzz_fuzz_thrift_view_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_thrift_walk_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_trace_context_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_ttheader_LDADD = $(FUZZ_LIBS)

# End to end: the daemon as a process, and the peers that scripts/test builds for it.

dist_check_SCRIPTS += tests/e2e/check
TESTS += tests/e2e/check
EXTRA_DIST += \
	tests/e2e/bridled.py tests/e2e/browser.py tests/e2e/calling_application.py tests/e2e/collector_stand_in.py \
	tests/e2e/complete.zsh tests/e2e/consul_stand_in.py \
	tests/e2e/ends.py tests/e2e/h2.py \
	tests/e2e/h2_case.py tests/e2e/h2_upstream.py tests/e2e/hosted_application.py \
	tests/e2e/hpack.py tests/e2e/http_stand_in.py tests/e2e/legacy.py tests/e2e/loads.py \
	tests/e2e/middleman.py tests/e2e/nacos_stand_in.py \
	tests/e2e/peers.py tests/e2e/registries.py tests/e2e/run.py tests/e2e/sockets.py \
	tests/e2e/tts.py tests/e2e/upgrading.py tests/e2e/upstream.py tests/e2e/wire.py tests/e2e/zookeeper_server.py \
	tests/e2e/test_access_log.py tests/e2e/test_attempts.py tests/e2e/test_base255.py \
	tests/e2e/test_base255_policies.py \
	tests/e2e/test_bodies.py \
	tests/e2e/test_calls.py \
	tests/e2e/test_chaos.py tests/e2e/test_completion.py tests/e2e/test_config.py \
	tests/e2e/test_consul.py tests/e2e/test_convert.py tests/e2e/test_correlate.py tests/e2e/test_ctl.py \
	tests/e2e/test_discovery.py tests/e2e/test_drain.py tests/e2e/test_eject_biz.py \
	tests/e2e/test_dns_registry.py tests/e2e/test_dump.py tests/e2e/test_endpoint_orders.py \
	tests/e2e/test_etcd.py tests/e2e/test_examples.py \
	tests/e2e/test_explain.py tests/e2e/test_failures.py tests/e2e/test_file_registry.py \
	tests/e2e/test_found_names.py tests/e2e/test_governance.py tests/e2e/test_grpc.py \
	tests/e2e/test_grpc_peers.py tests/e2e/test_h2_broken.py tests/e2e/test_h2_flow.py \
	tests/e2e/test_h2_hostile.py tests/e2e/test_h2_lies.py tests/e2e/test_h2_meanwhile.py \
	tests/e2e/test_h2_upstream.py tests/e2e/test_h2spec.py tests/e2e/test_health.py \
	tests/e2e/test_hostile.py tests/e2e/test_kitex_governance.py tests/e2e/test_kubernetes.py \
	tests/e2e/test_identity.py \
	tests/e2e/test_limits.py tests/e2e/test_logrotate.py tests/e2e/test_lookup.py \
	tests/e2e/test_lookup_examples.py \
	tests/e2e/test_metadata.py \
	tests/e2e/test_metrics.py tests/e2e/test_mux.py tests/e2e/test_nacos.py tests/e2e/test_operation.py \
	tests/e2e/test_old_applications.py tests/e2e/test_peers.py tests/e2e/test_policies.py tests/e2e/test_registration.py \
	tests/e2e/test_registry_chaos.py tests/e2e/test_registry_config.py \
	tests/e2e/test_registry_hostile.py tests/e2e/test_reload.py \
	tests/e2e/test_run.py tests/e2e/test_simulate.py \
	tests/e2e/test_status_page.py tests/e2e/test_top.py \
	tests/e2e/test_stream_chaos.py tests/e2e/test_stream_moods.py tests/e2e/test_tts.py \
	tests/e2e/test_tap.py tests/e2e/test_torture.py tests/e2e/test_tracing.py \
	tests/e2e/test_tts_hostile.py tests/e2e/test_upgrade.py tests/e2e/test_zookeeper.py \
	tests/peers/build tests/peers/echo.proto tests/peers/echo.thrift \
	tests/peers/goecho/go.mod tests/peers/goecho/go.sum \
	tests/peers/goecho/main.go tests/peers/goecho/message.go \
	tests/peers/goecho/stream.go tests/peers/goecho/stream_client.go \
	tests/peers/goecho/stream_server.go \
	tests/peers/gogrpc/call.go tests/peers/gogrpc/client.go tests/peers/gogrpc/go.mod \
	tests/peers/gogrpc/go.sum tests/peers/gogrpc/main.go tests/peers/gogrpc/message.go \
	tests/peers/gogrpc/server.go \
	tests/peers/kubecheck/go.mod tests/peers/kubecheck/go.sum tests/peers/kubecheck/main.go \
	tests/peers/h2spec/go.mod tests/peers/h2spec/go.sum tests/peers/h2spec/tools.go \
	tests/peers/legacy/cpp/server.cc tests/peers/legacy/go/main.go \
	tests/peers/legacy/java/Server.java tests/peers/legacy/legacy.thrift \
	tests/peers/legacy/python/apache_server.py tests/peers/legacy/python/application.py \
	tests/peers/legacy/python/thriftpy2_server.py \
	tests/peers/py/apache_client.py tests/peers/py/grpcio_peer.py \
	tests/peers/py/requirements.txt \
	tests/peers/py/thriftpy2_peer.py tests/peers/py/tth.py \
	tests/peers/volo/Cargo.toml tests/peers/volo/src/lib.rs \
	tests/peers/volo/src/bin/client.rs tests/peers/volo/src/bin/server.rs \
	tests/peers/volo/src/bin/grpc-client.rs tests/peers/volo/src/bin/grpc-server.rs \
	tests/peers/volo/src/bin/legacy.rs \
	tests/peers/volo/gen/Cargo.toml tests/peers/volo/gen/build.rs \
	tests/peers/volo/gen/src/lib.rs
