#include "space/geodesy.h"

#include "space/space.h"

#include <geodesic.h>
#include <pthread.h>

double geo_curvature_square(double latitude)
{
	double s = sin(latitude * GEO_DEGREE);
	double w2 = 1.0 - GEO_E2 * s * s;
	// 1/M² = w⁶ / (a (1 − e²))², 1/N² = w² / a²: M along the meridian, N across it.
	const double meridian = 1.0 / (GEO_RADIUS_MIN * GEO_RADIUS_MIN),
		     prime = 1.0 / (GEO_A * GEO_A);

	return 0.5 * w2 * (w2 * w2 * meridian + prime);
}

double geo_chord(double surface_m, double latitude)
{
	double k = sqrt(geo_curvature_square(latitude));
	double half = 0.5 * surface_m * k;

	return half >= 0.5 * M_PI ? 2.0 / k : 2.0 / k * sin(half);
}

double pe_surface_from_chord(const struct pe_space *space, double chord_m, double latitude_deg)
{
	(void)space;
	double k2 = geo_curvature_square(latitude_deg);
	double u2 = 0.25 * chord_m * chord_m * k2; // sin² of half the arc

	// Up to 700 km the next term of the series is below a tenth of a micrometre.
	if (u2 < 0.003)
		return chord_m *
			(1.0 +
				u2 *
					(1.0 / 6.0 +
						u2 *
							(3.0 / 40.0 +
								u2 *
									(15.0 / 336.0 +
										u2 * (105.0 / 3456.0)))));
	return 2.0 * asin(fmin(sqrt(u2), 1.0)) / sqrt(k2);
}

double pe_surface_band(double distance_m)
{
	if (!(distance_m <= PE_SURFACE_BAND_MAX_M))
		return INFINITY;
	// The cubic term is c³/24 times half the spread of the squared curvatures, largest at the
	// equator; the quintic the same of the series' next term, with room for the change of
	// curvature along the way. Both a few per cent above the largest that the tests find; the
	// last is arithmetic.
	double square = distance_m * distance_m;

	return distance_m * square * (7.05e-18 + 2.5e-31 * square) + 2e-8;
}

double geo_wave_max(double p, double q, double from, double to)
{
	double best = fmax(p * cos(from) + q * sin(from), p * cos(to) + q * sin(to));
	double peak = atan2(q, p); // the intervals lie within ±π/2, so no other turn of it counts

	if (from <= peak && peak <= to)
		best = hypot(p, q);
	return best;
}

struct geo_box geo_box_make(const double a[3], const double b[3])
{
	double width = b[1] - a[1];

	if (width < 0.0)
		width += 360.0;
	return (struct geo_box){
		a[0] * GEO_DEGREE, b[0] * GEO_DEGREE, a[1] * GEO_DEGREE, width * GEO_DEGREE};
}

// Largest x·cos λ + y·sin λ over the box's longitudes.
static double longitude_max(const struct geo_box *box, double x, double y)
{
	double peak = atan2(y, x) - box->west; // how far east of the western edge the maximum lies

	peak -= 2.0 * M_PI * floor(peak / (2.0 * M_PI));
	if (peak <= box->width)
		return hypot(x, y);
	return fmax(x * cos(box->west) + y * sin(box->west),
		x * cos(box->west + box->width) + y * sin(box->west + box->width));
}

double geo_box_normal_max(const struct geo_box *box, const double d[3])
{
	// The factor cos φ is never negative, so the best longitude is the same at every latitude.
	return geo_wave_max(longitude_max(box, d[0], d[1]), d[2], box->south, box->north);
}

double geo_box_point_max(const struct geo_box *box, const double d[3])
{
	// In the reduced latitude β (tan β = (1 − f) tan φ) a footprint is (a cos β cos λ, a cos β
	// sin λ, b sin β), so the same wave with other amplitudes.
	double south = atan2((1.0 - GEO_F) * sin(box->south), fmax(cos(box->south), 0.0));
	double north = atan2((1.0 - GEO_F) * sin(box->north), fmax(cos(box->north), 0.0));

	return geo_wave_max(GEO_A * longitude_max(box, d[0], d[1]), GEO_B * d[2], south, north);
}

// Of Earth-centred metres: what is nearer is one place, whatever its longitude is called and
// however a compiler rounds one of two differences.
#define GEO_ROUNDING_M 1e-8

static struct geod_geodesic wgs84;
static pthread_once_t wgs84_once = PTHREAD_ONCE_INIT;

static void wgs84_init(void)
{
	geod_init(&wgs84, GEO_A, GEO_F);
}

double pe_space_distance(
	const struct pe_space *space, const double p[3], const double q[3], bool straight)
{
	double d[3], metres;

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		for (unsigned i = 0; i < 3; i++)
			d[i] = p[i] - q[i];
		return sqrt(geo_dot(d, d));
	}
	if (straight) {
		double normal[3], from[3], to[3];

		geo_normal(p[0], p[1], normal);
		geo_point(normal, p[2], from);
		geo_normal(q[0], q[1], normal);
		geo_point(normal, q[2], to);
		for (unsigned i = 0; i < 3; i++)
			d[i] = from[i] - to[i];
		metres = sqrt(geo_dot(d, d));
		return metres < GEO_ROUNDING_M ? 0 : metres;
	}
	pthread_once(&wgs84_once, wgs84_init);
	geod_inverse(&wgs84, p[0], p[1], q[0], q[1], &metres, NULL, NULL);
	return metres;
}
