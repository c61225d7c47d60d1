#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

struct tls_client {
	SSL_CTX *context; /* owned; streams hold references of their own */
};

void tls_reason(char *room, size_t size)
{
	unsigned long code = ERR_get_error();

	if (code == 0)
		snprintf(room, size, "unknown reason");
	else
		ERR_error_string_n(code, room, size);
	ERR_clear_error();
}

static int fail(struct err *err, const char *what, const char *path)
{
	char why[256];

	tls_reason(why, sizeof why);
	return path ? err_set(err, 0, "%s %s: %s", what, path, why)
		    : err_set(err, 0, "%s: %s", what, why);
}

/* The library would wait for the other end of a FIFO. */
static int check_file(const char *path, struct err *err)
{
	struct stat st;

	if (path && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, 0, "%s: not a file", path);
	return 0;
}

static int trust(SSL_CTX *context, const struct tls_files *files, struct err *err)
{
	if (files->verify_none)
		return 0;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (files->ca && SSL_CTX_load_verify_locations(context, files->ca, NULL) != 1)
		return fail(err, "cannot use the trusted certificates in", files->ca);
	if (files->ca == NULL && SSL_CTX_set_default_verify_paths(context) != 1)
		return fail(err, "cannot use the system's certificates", NULL);
	return 0;
}

static int identify(SSL_CTX *context, const struct tls_files *files, struct err *err)
{
	const char *key = files->key ? files->key : files->cert;

	if (files->cert == NULL)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
		return fail(err, "cannot use the certificate in", files->cert);
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		return fail(err, "cannot use the key in", key);
	if (SSL_CTX_check_private_key(context) != 1)
		return fail(err, "the key does not belong to the certificate in", files->cert);
	return 0;
}

/* Without this the library asks for it on the terminal, and waits. */
static int no_passphrase(char *room, int size, int is_writing, void *arg)
{
	(void)room;
	(void)size;
	(void)is_writing;
	(void)arg;
	return 0;
}

struct tls_client *tls_client_new(const struct tls_files *files, struct err *err)
{
	struct tls_client *tls = mem_calloc(1, sizeof *tls);

	ERR_clear_error();
	tls->context = SSL_CTX_new(TLS_client_method());
	if (tls->context == NULL) {
		fail(err, "no TLS", NULL);
		goto failed;
	}
	SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
	if (check_file(files->ca, err) < 0 || check_file(files->cert, err) < 0 ||
	    check_file(files->key, err) < 0)
		goto failed;
	if (trust(tls->context, files, err) < 0 || identify(tls->context, files, err) < 0)
		goto failed;
	return tls;
failed:
	tls_client_free(&tls);
	return NULL;
}

void tls_client_free(struct tls_client **at)
{
	struct tls_client *tls = *at;

	if (tls == NULL)
		return;
	*at = NULL;
	SSL_CTX_free(tls->context);
	free(tls);
}

/* An address is compared with the addresses of the certificate, never with its names; and it is not
 * sent, since a server name is a host name (RFC 6066, section 3). */
static bool expect(SSL *ssl, const char *name)
{
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);

	if (address) {
		ASN1_OCTET_STRING_free(address);
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	}
	ERR_clear_error();
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* SSL_set_tlsext_host_name, whose own cast clang warns of. */
	return SSL_set1_host(ssl, name) == 1 &&
	       SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
		   (void *)(uintptr_t)name) == 1;
}

struct bufferevent *tls_client_stream(
    struct tls_client *tls, struct event_base *base, const char *name, struct err *err)
{
	SSL *ssl = SSL_new(tls->context);
	struct bufferevent *stream;

	if (ssl == NULL || !expect(ssl, name)) {
		fail(err, "TLS to", name);
		SSL_free(ssl);
		return NULL;
	}
	stream = bufferevent_openssl_socket_new(
	    base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (stream == NULL) {
		SSL_free(ssl);
		err_set(err, 0, "no memory for TLS");
	}
	return stream;
}

bool tls_stream_reason(struct bufferevent *stream, char *room, size_t size)
{
	SSL *ssl = bufferevent_openssl_get_ssl(stream);
	long verdict = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	unsigned long code = ssl ? bufferevent_get_openssl_error(stream) : 0;

	if (verdict != X509_V_OK && ssl && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE) {
		snprintf(room, size, "its certificate is refused: %s",
		    X509_verify_cert_error_string(verdict));
		return true;
	}
	if (code == 0)
		return false;
	ERR_error_string_n(code, room, size);
	return true;
}

const char *tls_library_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}
