#include "rpc/codec_h2_inflate.h"

#include <stdlib.h>

#include <nghttp2/nghttp2.h>

#include "base/mem.h"

struct h2_inflate {
	nghttp2_hd_inflater *inflater; /* owned */
	uint32_t allowed;
};

struct h2_inflate *h2_inflate_new(void)
{
	struct h2_inflate *inflate = mem_calloc(1, sizeof *inflate);

	inflate->allowed = NGHTTP2_DEFAULT_HEADER_TABLE_SIZE;
	if (nghttp2_hd_inflate_new(&inflate->inflater) == 0)
		return inflate;
	free(inflate);
	return NULL;
}

void h2_inflate_free(struct h2_inflate **inflate)
{
	if (*inflate == NULL)
		return;
	nghttp2_hd_inflate_del((*inflate)->inflater);
	free(*inflate);
	*inflate = NULL;
}

/* Less than before is nothing to insist on: whoever looks on does not know when it was taken up. */
void h2_inflate_allow(struct h2_inflate *inflate, uint32_t table_size)
{
	if (table_size > H2_INFLATE_TABLE_MAX)
		table_size = H2_INFLATE_TABLE_MAX;
	if (table_size <= inflate->allowed)
		return;
	inflate->allowed = table_size;
	nghttp2_hd_inflate_change_table_size(inflate->inflater, table_size);
}

const char *h2_inflate_block(struct h2_inflate *inflate, struct slice block,
    void (*field)(void *arg, struct slice name, struct slice value), void *arg)
{
	int flags = 0;

	do {
		nghttp2_nv nv;
		ssize_t used;

		flags = 0;
		used = nghttp2_hd_inflate_hd2(
		    inflate->inflater, &nv, &flags, block.data, block.len, 1);
		if (used < 0)
			return "a header block that is no HPACK";
		block = slice_from(block, (size_t)used);
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			field(arg, slice_of(nv.name, nv.namelen), slice_of(nv.value, nv.valuelen));
		else if (used == 0 && !(flags & NGHTTP2_HD_INFLATE_FINAL))
			return "a header block that ends within a field";
	} while (!(flags & NGHTTP2_HD_INFLATE_FINAL));
	nghttp2_hd_inflate_end_headers(inflate->inflater);
	return NULL;
}
