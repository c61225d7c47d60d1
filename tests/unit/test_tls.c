#include "net/tls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>
#include <event2/bufferevent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/http_script.h"
#include "support/suite.h"

#define DAY (86400L)

/* ---- certificates, made as they are needed ---- */

struct identity {
	X509 *certificate;
	EVP_PKEY *key;
};

static void name_it(X509 *certificate, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);

	X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
}

static void extend(X509 *certificate, int kind, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);

	ck_assert_ptr_nonnull(extension);
	ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* @issuer: NULL for an authority that signs itself. @names: as in a subjectAltName. */
static struct identity identity_new(
    const struct identity *issuer, const char *names, long from, long until)
{
	static long serial = 1;
	struct identity new = {X509_new(), EVP_EC_gen("P-256")};
	const struct identity *by = issuer ? issuer : &new;

	X509_set_version(new.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(new.certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(new.certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(new.certificate), until);
	X509_set_pubkey(new.certificate, new.key);
	name_it(new.certificate, issuer ? "server" : "authority");
	X509_set_issuer_name(new.certificate, X509_get_subject_name(by->certificate));
	if (issuer)
		extend(new.certificate, NID_subject_alt_name, names);
	else
		extend(new.certificate, NID_basic_constraints, "critical,CA:TRUE");
	ck_assert_int_gt(X509_sign(new.certificate, by->key, EVP_sha256()), 0);
	return new;
}

static void identity_fini(struct identity *identity)
{
	X509_free(identity->certificate);
	EVP_PKEY_free(identity->key);
	*identity = (struct identity){NULL, NULL};
}

/* Into a file of its own; the path lasts until the next one of this kind. */
static const char *write_certificate(const struct identity *identity)
{
	static char path[] = "/tmp/test_tls_cert_XXXXXX";
	FILE *file;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	file = fdopen(mkstemp(path), "w");
	PEM_write_X509(file, identity->certificate);
	fclose(file);
	return path;
}

static const char *write_key(const struct identity *identity)
{
	static char path[] = "/tmp/test_tls_key__XXXXXX";
	FILE *file;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	file = fdopen(mkstemp(path), "w");
	PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	return path;
}

/* ---- one exchange with a server that has them ---- */

static struct loop *loop;
static struct script *server;
static SSL_CTX *server_context;
static struct identity authority, stranger, own;
static int descriptors_before;
static char server_name[64], seen_error[300];
static int seen_status;
static bool is_done;
static usec_t patience = 10 * USEC_S;

static void respond(void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	(void)request;
	script_answer(peer, 200, "hello");
}

static int note_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	(void)arg;
	snprintf(server_name, sizeof server_name, "%s", name ? name : "");
	return SSL_TLSEXT_ERR_OK;
}

static void begin(void)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	authority = identity_new(NULL, NULL, -DAY, DAY);
	stranger = identity_new(NULL, NULL, -DAY, DAY);
	own = identity_new(&authority, "DNS:us.test", -DAY, DAY);
	server_context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_tlsext_servername_callback(server_context, note_name);
	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
}

static void end(void)
{
	script_free(&server);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 0);
	loop_free(&loop);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
	SSL_CTX_free(server_context);
	identity_fini(&authority);
	identity_fini(&stranger);
	identity_fini(&own);
}

static bool server_of(void *arg, size_t i, struct address *address)
{
	(void)arg;
	*address = *script_address(server);
	return i == 0;
}

static void done(void *arg, const struct http_response *response)
{
	(void)arg;
	is_done = true;
	seen_status = response->status;
	snprintf(seen_error, sizeof seen_error, "%s", response->error ? response->error : "");
}

static void serve_with(const struct identity *issuer, const char *names, long from, long until)
{
	struct identity identity = identity_new(issuer, names, from, until);

	ck_assert_int_eq(SSL_CTX_use_certificate(server_context, identity.certificate), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(server_context, identity.key), 1);
	server = script_new(loop, server_context, respond, NULL);
	identity_fini(&identity);
}

static void ask_once(struct tls_client *tls, const char *sni)
{
	struct http_client_start start = {
	    .loop = loop, .tls = tls, .sni = sni, .server = server_of};
	struct http_client *client = http_client_new(&start);
	struct http_request request = {
	    .method = "GET", .target = "/", .timeout = patience, .at_most = 1000};
	const struct http_done on = {.done = done};
	usec_t until = clock_monotonic() + 20 * USEC_S;

	is_done = false;
	http_client_ask(client, &request, &on, NULL);
	while (!is_done) {
		ck_assert_uint_lt(clock_monotonic(), until);
		loop_turn(loop, 10 * USEC_MS);
	}
	http_client_free(&client);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 0);
}

static struct tls_client *trusting(const struct identity *whom)
{
	struct err err = {0};
	const char *ca = write_certificate(whom);
	struct tls_client *tls = tls_client_new(&(struct tls_files){.ca = ca}, &err);

	ck_assert_msg(tls != NULL, "%s", err.text);
	unlink(ca);
	return tls;
}

static void expect(const struct identity *trusted, const char *sni, int status, const char *why)
{
	struct tls_client *tls = trusting(trusted);

	ask_once(tls, sni);
	tls_client_free(&tls);
	ck_assert_ptr_null(tls);
	ck_assert_msg(seen_status == status, "%d: %s", seen_status, seen_error);
	ck_assert_msg(strstr(seen_error, why) != NULL, "%s", seen_error);
}

/* ---- tests ---- */

START_TEST(a_server_is_known_by_its_address)
{
	serve_with(&authority, "IP:127.0.0.1", -DAY, DAY);
	expect(&authority, NULL, 200, "");
	ck_assert_str_eq(server_name, "");
}
END_TEST

START_TEST(a_server_is_known_by_the_name_that_it_is_to_have)
{
	serve_with(&authority, "DNS:etcd.test", -DAY, DAY);
	expect(&authority, "etcd.test", 200, "");
	ck_assert_str_eq(server_name, "etcd.test");
}
END_TEST

START_TEST(a_server_of_another_name_is_refused)
{
	static const char *const names[] = {
	    "DNS:other.test", "IP:127.0.0.2", "DNS:127.0.0.1", "DNS:etcd.test", "DNS:*.test"};

	serve_with(&authority, names[_i], -DAY, DAY);
	expect(&authority, _i == 3 ? "etcd.test.evil" : _i == 4 ? "a.b.test" : NULL, 0, "mismatch");
}
END_TEST

START_TEST(a_certificate_that_is_out_of_date_is_refused)
{
	serve_with(&authority, "IP:127.0.0.1", _i ? DAY : -2 * DAY, _i ? 2 * DAY : -DAY);
	expect(&authority, NULL, 0, _i ? "not yet valid" : "expired");
}
END_TEST

START_TEST(a_certificate_of_an_unknown_authority_is_refused)
{
	serve_with(&stranger, "IP:127.0.0.1", -DAY, DAY);
	expect(&authority, NULL, 0, "its certificate is refused");
}
END_TEST

START_TEST(without_verification_every_certificate_will_do)
{
	struct err err = {0};
	struct tls_client *tls = tls_client_new(&(struct tls_files){.verify_none = true}, &err);

	serve_with(&stranger, "DNS:other.test", -2 * DAY, -DAY);
	ask_once(tls, NULL);
	tls_client_free(&tls);
	ck_assert_msg(seen_status == 200, "%s", seen_error);
}
END_TEST

START_TEST(a_version_before_1_2_is_refused)
{
	SSL_CTX_set_min_proto_version(server_context, 0);
	SSL_CTX_set_max_proto_version(server_context, TLS1_1_VERSION);
	serve_with(&authority, "IP:127.0.0.1", -DAY, DAY);
	expect(&authority, NULL, 0, "");
}
END_TEST

START_TEST(a_server_that_asks_for_it_sees_our_certificate)
{
	struct err err = {0};
	const char *ca = write_certificate(&authority);
	char ca_path[64];
	struct tls_files files = {.ca = ca_path};
	struct tls_client *tls;

	strcpy(ca_path, ca);
	files.cert = write_certificate(&own);
	files.key = write_key(&own);
	SSL_CTX_set_verify(server_context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(server_context), authority.certificate);
	serve_with(&authority, "IP:127.0.0.1", -DAY, DAY);
	tls = tls_client_new(&files, &err);
	ck_assert_msg(tls != NULL, "%s", err.text);
	ask_once(tls, NULL);
	ck_assert_msg(seen_status == 200, "%s", seen_error);
	tls_client_free(&tls);
	expect(&authority, NULL, 0, "");
	unlink(ca_path);
	unlink(files.cert);
	unlink(files.key);
}
END_TEST

START_TEST(files_that_cannot_be_used_are_named)
{
	char certificate[64];
	struct err err = {0};
	struct tls_files files[4] = {{.ca = "/nowhere/ca.pem"}, {.cert = "/nowhere/cert.pem"},
	    {.cert = certificate, .key = "/nowhere/key.pem"}, {.cert = certificate}};
	static const char *const names[] = {
	    "/nowhere/ca.pem", "/nowhere/cert.pem", "/nowhere/key.pem", "/tmp/test_tls_key"};

	strcpy(certificate, write_certificate(&own));
	files[3].key = write_key(&stranger);
	ck_assert_ptr_null(tls_client_new(&files[_i], &err));
	ck_assert_msg(strstr(err.text, names[_i]) || (_i == 3 && strstr(err.text, certificate)),
	    "%s", err.text);
	unlink(certificate);
	unlink(files[3].key);
}
END_TEST

START_TEST(nobody_is_waited_for_who_could_open_a_key)
{
	char certificate[64];
	struct err err = {0};
	struct tls_files files = {.cert = certificate};
	FILE *file;

	strcpy(certificate, write_certificate(&own));
	files.key = write_key(&own);
	file = fopen(files.key, "w");
	PEM_write_PrivateKey(file, own.key, EVP_aes_128_cbc(),
	    (const unsigned char *)(uintptr_t) "secret", 6, NULL, NULL);
	fclose(file);
	ck_assert_ptr_null(tls_client_new(&files, &err));
	ck_assert_msg(strstr(err.text, files.key) != NULL, "%s", err.text);
	unlink(files.key);
	ck_assert_int_eq(mkfifo(files.key, 0600), 0);
	ck_assert_ptr_null(tls_client_new(&files, &err));
	ck_assert_msg(strstr(err.text, "not a file") != NULL, "%s", err.text);
	unlink(certificate);
	unlink(files.key);
}
END_TEST

START_TEST(a_server_without_tls_is_told_apart)
{
	patience = 300 * USEC_MS;
	server = script_new(loop, NULL, respond, NULL);
	expect(&authority, NULL, 0, "");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_server_is_known_by_its_address, 1},
	    {a_server_is_known_by_the_name_that_it_is_to_have, 1},
	    {a_server_of_another_name_is_refused, 5},
	    {a_certificate_that_is_out_of_date_is_refused, 2},
	    {a_certificate_of_an_unknown_authority_is_refused, 1},
	    {without_verification_every_certificate_will_do, 1},
	    {a_version_before_1_2_is_refused, 1},
	    {a_server_that_asks_for_it_sees_our_certificate, 1},
	    {files_that_cannot_be_used_are_named, 4},
	    {nobody_is_waited_for_who_could_open_a_key, 1},
	    {a_server_without_tls_is_told_apart, 1},
	};

	return suite_run_between("tls", tests, ARRAY_LEN(tests), begin, end);
}
