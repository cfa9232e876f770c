// What goes back in a turn: answers to queries (answer.c, packed ones in answer_packed.c), in the
// order of their classes where they have some (priority.c), explanations (answer_explain.c), and
// replies that stand alone (answer_alone.c). Each goes through the sink of the worker's turn, and
// what a sink has no buffer for is counted. Worker's thread, inside of its turn.
#pragma once

#include "internal.h"

// answer.c: messages that several answers share, open until they are full or the turn ends.
enum pe_status pe_outbox_create(struct pe_worker *w);
void pe_outbox_destroy(struct pe_worker *w);
void pe_outbox_flush(struct pe_worker *w);
// One query of a turn's messages.
struct pe_ask {
	uint8_t message, query;
	uint16_t extension_at; // behind the message's queries
};
// The queries of `count` messages that come one after the other, each with at least one, in their
// order; or (asks not NULL) `count` of them in an order of their own, in which those of a message
// follow each other, all of them where its source is not trusted. They are worked together, and
// belong to the class in answers_class; the caller counts them as carried.
void pe_answer_queries(struct pe_worker *w, const struct pe_message *messages,
	const struct pe_wire_view *views, const uint8_t *spaces, const struct pe_ask *asks,
	unsigned count);

// priority.c. All queries of a turn in which not all are NORMAL; kinds: of the messages.
void pe_priority_answer(struct pe_worker *w, const struct pe_message *messages,
	const uint8_t *kinds, const uint8_t *spaces, unsigned count);

// answer_packed.c
enum pe_status pe_packing_create(struct pe_worker *w);
void pe_packing_destroy(struct pe_worker *w);
void pe_packing_begin_turn(struct pe_worker *w);
// Sends as many of an answer's results in packed parts as are worth it; their number. *part goes on
// behind them.
uint32_t pe_answer_packed(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, uint32_t query_id, uint16_t form,
	const struct pe_query_answer *answer, uint16_t *part);

// answer_explain.c
void pe_answer_explain(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, unsigned space);

// answer_alone.c. What makes a reply that stands alone: its header, its buffer (NULL: none, which
// is counted), and its sending, unless it is longer than the request of who isn't trusted.
struct pe_wire_header pe_answer_header(struct pe_worker *w, const struct pe_wire_header *request);
uint8_t *pe_answer_reserve(struct pe_worker *w, const struct pe_message *m);
void pe_answer_send(
	struct pe_worker *w, const struct pe_message *m, uint8_t *buffer, uint32_t bytes);
// The same to a destination that is trusted, of no request. Sending nothing gives the buffer back.
uint8_t *pe_answer_reserve_for(struct pe_worker *w, const struct pe_peer *peer);
void pe_answer_send_to(
	struct pe_worker *w, const struct pe_peer *peer, uint8_t *buffer, uint32_t bytes);

void pe_answer_ack(struct pe_worker *w, const struct pe_message *m, const struct pe_wire_view *view,
	const struct pe_wire_ack_record *records);
// Of an ERASE.
void pe_answer_erased(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, const struct pe_wire_ack_record *record);
void pe_answer_pong(
	struct pe_worker *w, const struct pe_message *m, const struct pe_wire_view *view);
void pe_answer_state(
	struct pe_worker *w, const struct pe_message *m, const struct pe_wire_view *view);
// A message is not taken, and who is trusted is told so.
void pe_answer_refusal(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, enum pe_reason reason);
// The same to anyone who asked soundly, within what a stranger is owed.
void pe_answer_refused(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, enum pe_reason reason);
