// Volumes of queries, read from arguments: polygons, oriented boxes and frusta, in numbers that are
// joined by commas into words, and words by blanks. A parser returns false for anything but a
// whole, sound value. Any thread.
#pragma once

#include "client/presence.h"

// What a query's polygon points to.
struct volume_polygon {
	struct presence_polygon polygon;
	double vertices[PRESENCE_VERTICES_MAX][2];
	unsigned ring_vertices[PRESENCE_RINGS_MAX];
};

// "X,Y X,Y X,Y …", and behind a "/" each hole's. Of any height; rounded when there are more
// vertices than fit as they are. The query's point is the first vertex.
bool argument_polygon(
	const char *text, struct volume_polygon *volume, struct presence_query *query);
// "X,Y,Z HALF,HALF,HALF [YAW[,PITCH[,ROLL]]]"
bool argument_oriented_box(const char *text, struct presence_query *query);
// "X,Y,Z WIDTH,HEIGHT NEAR,FAR [YAW[,PITCH[,ROLL]]]"
bool argument_frustum(const char *text, struct presence_query *query);
