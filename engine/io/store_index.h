/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_STORE_INDEX_H
#define PERI_IO_STORE_INDEX_H

/* Indexes over the usual fields of known entity types. A field is the expression attrs->>'$.name'; store_query.c writes
 * exactly this text, or SQLite would not recognise the index. When one is added to a database that exists, it also
 * needs a migration step. `seq` and the fields that conditions count by stand at the end, so that counting reads the
 * index only. */
#define PERI_FIELD(name) "attrs->>'$." name "'"
#define PERI_INDEX(name, type, columns) "CREATE INDEX entity_" name " ON entities(" columns ") WHERE type='" type "';"

#define PERI_CALL_REST PERI_FIELD("direction") "," PERI_FIELD("missed") "," PERI_FIELD("status") ",seq"
#define PERI_MESSAGE_REST PERI_FIELD("direction") "," PERI_FIELD("channelType") ",seq"

#define PERI_ENTITY_INDEXES                                                                                            \
    PERI_INDEX("contact_name", "contact", PERI_FIELD("displayName"))                                                   \
    PERI_INDEX("conversation_contact", "conversation", PERI_FIELD("contactId") "," PERI_FIELD("channelType"))          \
    PERI_INDEX("message_contact", "message", PERI_FIELD("contactId") "," PERI_FIELD("sentAt") "," PERI_MESSAGE_REST)   \
    PERI_INDEX("message_conversation", "message", PERI_FIELD("conversationId") "," PERI_FIELD("sentAt"))               \
    PERI_INDEX("message_sent", "message", PERI_FIELD("sentAt") "," PERI_MESSAGE_REST)                                  \
    PERI_INDEX("call_contact", "call", PERI_FIELD("contactId") "," PERI_FIELD("startedAt") "," PERI_CALL_REST)         \
    PERI_INDEX("call_started", "call", PERI_FIELD("startedAt") "," PERI_CALL_REST)                                     \
    PERI_INDEX("voicemail_contact", "voicemail",                                                                       \
        PERI_FIELD("contactId") "," PERI_FIELD("receivedAt") "," PERI_FIELD("listened") ",seq")                        \
    PERI_INDEX("voicemail_listened", "voicemail", PERI_FIELD("listened") "," PERI_FIELD("receivedAt") ",seq")          \
    PERI_INDEX("task_contact", "task",                                                                                 \
        PERI_FIELD("contactId") "," PERI_FIELD("status") "," PERI_FIELD("dueAt") "," PERI_FIELD("kind") ",seq")        \
    PERI_INDEX("task_status", "task", PERI_FIELD("status") "," PERI_FIELD("dueAt") "," PERI_FIELD("kind") ",seq")      \
    PERI_INDEX("calendar_starts", "calendar_event", PERI_FIELD("startsAt") "," PERI_FIELD("endsAt") ",seq")            \
    PERI_INDEX("email_contact", "email",                                                                               \
        PERI_FIELD("contactId") "," PERI_FIELD("receivedAt") "," PERI_FIELD("direction") ",seq")                       \
    PERI_INDEX("email_message", "email", PERI_FIELD("messageId"))                                                      \
    PERI_INDEX("place_type", "place", PERI_FIELD("placeType"))                                                         \
    PERI_INDEX("presence_user", "presence", PERI_FIELD("userId") "," PERI_FIELD("since"))                              \
    PERI_INDEX("presence_device", "presence", PERI_FIELD("deviceId") "," PERI_FIELD("since"))                          \
    PERI_INDEX("presence_place", "presence", PERI_FIELD("placeId") "," PERI_FIELD("since"))

/* List fields whose elements are kept in entity_terms. */
struct peri_term_field {
    const char *type, *field;
};
static const struct peri_term_field peri_term_fields[] = {
    {"contact", "phoneNumbers"},
    {"contact", "emails"},
    {"contact", "tags"},
    {"calendar_event", "attendees"},
    {"task", "tags"},
    {"place", "tags"},
};

#endif
