/*
 * Intrusive doubly linked list: a struct list is both the head and the link inside an element.
 * Nothing is owned. A link that is in no list points at itself.
 */
#ifndef BRIDLE_BASE_LIST_H
#define BRIDLE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert(struct list *before, struct list *link)
{
	link->next = before;
	link->prev = before->prev;
	before->prev->next = link;
	before->prev = link;
}

static inline void list_push_back(struct list *head, struct list *link)
{
	list_insert(head, link);
}

static inline void list_push_front(struct list *head, struct list *link)
{
	list_insert(head->next, link);
}

/* Takes the link out of whatever list it is in; harmless when it is in none. */
static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

static inline struct list *list_pop_front(struct list *head)
{
	struct list *first = head->next;

	if (first == head)
		return NULL;
	list_remove(first);
	return first;
}

/* The loop variable is the link; list_item gives the element. The second form allows removal. */
#define list_each(link, head)                                                                      \
	for (struct list *link = (head)->next; link != (head); link = link->next)
#define list_each_safe(link, head)                                                                 \
	for (struct list *link = (head)->next, *link##_next = link->next; link != (head);          \
	     link = link##_next, link##_next = link->next)
#define list_item(link, type, member) container_of(link, type, member)

#endif
