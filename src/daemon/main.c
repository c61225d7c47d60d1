/* The program: reads the command line and does the one thing it asks for. */
#include <stdio.h>

#include <event2/event.h>

#include "daemon/admin.h"
#include "daemon/admin_client.h"
#include "daemon/control.h"
#include "daemon/options.h"
#include "daemon/reload.h"
#include "model/yaml.h"
#include "net/tls.h"
#include "registry/dns.h"
#include "registry/zookeeper_session.h"
#include "rpc/codec.h"

static void print_build(void)
{
	printf("bridled %s\n", PACKAGE_VERSION);
#ifdef __clang__
	printf("compiler:  %s\n", __VERSION__);
#elif defined __GNUC__
	printf("compiler:  GCC %s\n", __VERSION__);
#endif
	printf("libevent:  %s\n", event_get_version());
	printf("nghttp2:   %s\n", codec_library_version());
	printf("OpenSSL:   %s\n", tls_library_version());
	printf("c-ares:    %s\n", dns_library_version());
	printf("libyaml:   %s\n", yaml_library_version());
	printf("cJSON:     %s\n", admin_library_version());
	printf("zookeeper: %s\n",
	    zookeeper_library_version() ? zookeeper_library_version() : "left out");
	printf("protocols: buffered framed ttheader ttheader_streaming grpc\n");
	printf(
	    "features:  registries of etcd, consul, nacos, dns, file%s; traces by otlp; systemd\n",
	    zookeeper_library_version() ? ", zookeeper" : "");
}

static enum exit_code check(const struct options *options)
{
	struct problems problems;
	struct config *config;
	bool is_good;

	problems_init(&problems);
	config = reload_read_tested(options, &problems);
	is_good = config && !(options->warnings_are_errors && problems.n);
	problems_print(&problems, stderr, !options->quiet || options->warnings_are_errors);
	if (is_good && !options->quiet)
		printf("bridled: %s is good\n", options->config_path);
	problems_fini(&problems);
	if (config)
		config_free(&config);
	return is_good ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static enum exit_code dump(const struct options *options)
{
	struct problems problems;
	struct config *config;

	problems_init(&problems);
	config = reload_read(options, &problems);
	problems_print(&problems, stderr, true);
	problems_fini(&problems);
	if (config == NULL)
		return EXIT_CODE_FAILED;
	config_dump(config, stdout);
	config_free(&config);
	return EXIT_CODE_OK;
}

static enum exit_code completion(const struct options *options)
{
	if (options_completion(options->shell, stdout) == 0)
		return EXIT_CODE_OK;
	fprintf(stderr, "bridled: --completion %s: there are bash, zsh and fish\n", options->shell);
	return EXIT_CODE_USAGE;
}

static int act(const struct options *options)
{
	switch (options->action) {
	case OPTIONS_RUN:
		return control_run(options);
	case OPTIONS_CHECK:
		return check(options);
	case OPTIONS_DUMP:
		return dump(options);
	case OPTIONS_SCHEMA:
		config_schema(stdout);
		break;
	case OPTIONS_MANUAL:
		config_manual(stdout);
		break;
	case OPTIONS_COMPLETION:
		return completion(options);
	case OPTIONS_SIGNAL:
		return admin_client_run(options);
	case OPTIONS_VERSION:
		printf("bridled %s\n", PACKAGE_VERSION);
		break;
	case OPTIONS_BUILD:
		print_build();
		break;
	case OPTIONS_HELP:
		options_help(stdout);
		break;
	}
	return EXIT_CODE_OK;
}

int main(int argc, char **argv)
{
	struct options options;
	int code = EXIT_CODE_USAGE;

	if (options_parse(&options, argc, argv, stderr) == 0)
		code = act(&options);
	options_fini(&options);
	if (fflush(stdout) != 0 && code == EXIT_CODE_OK)
		code = EXIT_CODE_FAILED;
	return code;
}
