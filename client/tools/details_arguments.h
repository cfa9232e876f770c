// What an entity says beside its state, read from arguments and printed. Parsers return false for
// anything but a whole, sound value; texts point into the arguments. Any thread.
#pragma once

#include "client/presence.h"

#include <jansson.h>
#include <stdio.h>

// "NAME=VALUE": null, true, false, a whole number, a number, x"hexadecimal bytes" (in place: the
// argument is written), or else a text; "NAME" alone takes it away.
bool argument_metadata(char *text, struct presence_details *details);
bool argument_tag(const char *text, struct presence_details *details);
bool argument_activity(const char *text, struct presence_details *details);
// "X,Y,Z,W", made a unit quaternion; "none" takes it away
bool argument_quaternion(const char *text, struct presence_details *details);
// "OPENING,PERIOD,OPEN": Unix seconds or "now", times; "none" takes it away
bool argument_schedule(const char *text, struct presence_details *details);
// "X,Y[,Z]:RADIUS" or "X,Y[,Z]:X,Y[,Z]": bounds of the scope; "none" takes it away
bool argument_scope(const char *text, struct presence_details *details);

// Is anything said?
bool details_any(const struct presence_details *details);

json_t *details_to_json(const struct presence_details *details);
// One line, indented.
void details_print(FILE *out, const struct presence_details *details);
