/* dump: what is said in a capture, in the protocols that the daemon speaks. */
#include "ctl/dump.h"

#include <errno.h>
#include <getopt.h>

#include "ctl/command.h"

enum { OPTION_SERVICE = 256, OPTION_METHOD, OPTION_ERRORS, OPTION_PORT, OPTION_SECRETS };

static const struct option options[] = {
    {"verbose", no_argument, NULL, 'v'},
    {"hex", no_argument, NULL, 'x'},
    {"service", required_argument, NULL, OPTION_SERVICE},
    {"method", required_argument, NULL, OPTION_METHOD},
    {"errors", no_argument, NULL, OPTION_ERRORS},
    {"port", required_argument, NULL, OPTION_PORT},
    {"show-secrets", no_argument, NULL, OPTION_SECRETS},
    {0},
};

static int read_port(const char *word, unsigned *port, struct err *err)
{
	uint64_t number;

	if (!slice_to_u64(slice_str(word), &number) || number == 0 || number > UINT16_MAX)
		return err_set(err, 0, "--port takes a number from 1 to 65535, not %s", word);
	*port = (unsigned)number;
	return 0;
}

static int read_words(int argc, char **argv, struct dump_options *o, struct err *err)
{
	int option;

	while ((option = getopt_long(argc, argv, "vx", options, NULL)) != -1) {
		switch (option) {
		case 'v':
			o->is_verbose = true;
			break;
		case 'x':
			o->has_hex = true;
			break;
		case OPTION_SERVICE:
			o->service = optarg;
			break;
		case OPTION_METHOD:
			o->method = optarg;
			break;
		case OPTION_ERRORS:
			o->only_errors = true;
			break;
		case OPTION_SECRETS:
			o->shows_secrets = true;
			break;
		case OPTION_PORT:
			if (read_port(optarg, &o->port, err) < 0)
				return -1;
			break;
		default:
			return err_set(err, 0, "%s: no such option, or its value is missing",
			    argv[optind - 1]);
		}
	}
	if (optind + 1 != argc)
		return err_set(err, 0, "one file is needed, or - for what is piped in");
	return 0;
}

/* What of the capture was left out: nobody should take its absence for silence. */
static void tell_left_out(const struct dump *d, FILE *to)
{
	static const char *const format = "bridlectl: dump: %llu %s\n";
	const struct {
		uint64_t n;
		const char *what;
	} told[] = {
	    {d->fragments, "packets are fragments of IP packets, which are not put together"},
	    {d->cut, "packets were cut or have lengths that lie"},
	    {d->unknown_links, "packets are of a link type that is not known here"},
	    {d->forgotten + d->streams.evicted,
		"connections were forgotten before their end, for lack of room"},
	};

	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		if (told[i].n)
			fprintf(to, format, (unsigned long long)told[i].n, told[i].what);
}

static enum ctl_exit show(
    const struct ctl *ctl, const struct dump_options *o, const char *name, FILE *from)
{
	struct dump dump;
	struct err err;
	int rc;

	dump_init(&dump, o, ctl->out);
	rc = dump_file(&dump, from, &err);
	tell_left_out(&dump, ctl->errors);
	dump_fini(&dump);
	if (rc == 0)
		return CTL_DONE;
	fprintf(ctl->errors, "bridlectl: dump: %s: %s\n", name, err.text);
	return CTL_FAILED;
}

static enum ctl_exit run_dump(int argc, char **argv, struct ctl *ctl)
{
	struct dump_options o = {.is_json = ctl->json};
	enum ctl_exit code;
	struct err err;
	FILE *from;

	if (read_words(argc, argv, &o, &err) < 0)
		return ctl_refuse(ctl, &command_dump, "%s", err.text);
	if (strcmp(argv[optind], "-") == 0)
		return show(ctl, &o, "standard input", stdin);
	from = fopen(argv[optind], "rbe");
	if (from == NULL) {
		fprintf(ctl->errors, "bridlectl: dump: %s: %s\n", argv[optind], strerror(errno));
		return CTL_FAILED;
	}
	code = show(ctl, &o, argv[optind], from);
	fclose(from);
	return code;
}

const struct command command_dump = {"dump",
    "[OPTION]... FILE\n"
    "  -v, --verbose       metadata and fields, and frames that carry no message\n"
    "  -x, --hex           the bytes of each payload\n"
    "      --service NAME  only messages of this service\n"
    "      --method NAME   only messages of this method\n"
    "      --errors        only failures\n"
    "      --port N        only connections from or to this port\n"
    "      --show-secrets  values whose names smell of secrets, too\n"
    "FILE is a capture (pcap, pcapng), or the bytes of one direction; - stands for what is piped in",
    "what is said in a capture, message by message", run_dump};
