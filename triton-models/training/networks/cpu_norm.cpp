// Group norm, scale and shift and SiLU in one pass over the picture and another back, for x as bfloat16 [frames][points][channels].
// Built and called by cpu_norm.py.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using bfloat16 = uint16_t;

inline float widen(bfloat16 value) {
  uint32_t bits = static_cast<uint32_t>(value) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

// Rounds to the nearest, ties to even.
inline bfloat16 narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<bfloat16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Bounded, as the fast division by an infinite number is none.
inline float sigmoid(float value) { return 1.0f / (1.0f + expf(std::fmin(-value, 80.0f))); }

// y = x · factor + offset, channel by channel, with the scale and shift of the condition in it.
struct Line {
  std::vector<float> factor, offset;
};

void lineOf(const float* mean, const float* rstd, const float* scale, const float* shift, int channels, int groups, Line& line) {
  const int wide = channels / groups;
  for (int c = 0; c < channels; c++) {
    line.factor[c] = rstd[c / wide] * (1.0f + scale[c]);
    line.offset[c] = shift[c] - mean[c / wide] * line.factor[c];
  }
}

}  // namespace

extern "C" {

void norm_forward(const bfloat16* x, const float* scale, const float* shift, bfloat16* y, float* mean, float* rstd,
                  int64_t frames, int64_t points, int channels, int groups, int activate) {
  const int wide = channels / groups;
  std::vector<float> sum(channels), squares(channels);
  Line line{std::vector<float>(channels), std::vector<float>(channels)};
  for (int64_t n = 0; n < frames; n++) {
    const bfloat16* from = x + n * points * channels;
    bfloat16* to = y + n * points * channels;
    std::fill(sum.begin(), sum.end(), 0.0f);
    std::fill(squares.begin(), squares.end(), 0.0f);
    float *s = sum.data(), *q = squares.data();
    for (int64_t p = 0; p < points; p++) {
      const bfloat16* row = from + p * channels;
      for (int c = 0; c < channels; c++) {
        const float value = widen(row[c]);
        s[c] += value;
        q[c] += value * value;
      }
    }
    for (int g = 0; g < groups; g++) {
      double total = 0, square = 0;
      for (int c = g * wide; c < (g + 1) * wide; c++) {
        total += s[c];
        square += q[c];
      }
      const double middle = total / (wide * points);
      mean[n * groups + g] = static_cast<float>(middle);
      rstd[n * groups + g] = static_cast<float>(1.0 / std::sqrt(std::fmax(square / (wide * points) - middle * middle, 0.0) + 1e-5));
    }
    lineOf(mean + n * groups, rstd + n * groups, scale + n * channels, shift + n * channels, channels, groups, line);
    const float *factor = line.factor.data(), *offset = line.offset.data();
    for (int64_t p = 0; p < points; p++) {
      const bfloat16* row = from + p * channels;
      bfloat16* out = to + p * channels;
      if (activate) {
        for (int c = 0; c < channels; c++) {
          const float value = widen(row[c]) * factor[c] + offset[c];
          out[c] = narrow(value * sigmoid(value));
        }
      } else {
        for (int c = 0; c < channels; c++) out[c] = narrow(widen(row[c]) * factor[c] + offset[c]);
      }
    }
  }
}

void norm_backward(const bfloat16* x, const bfloat16* dy, const float* scale, const float* shift, const float* mean,
                   const float* rstd, bfloat16* dx, float* dscale, float* dshift, int64_t frames, int64_t points, int channels,
                   int groups, int activate) {
  const int wide = channels / groups;
  // The slope before the activation, of one frame.
  std::vector<float> slopes(points * channels), along(channels), level(channels), curve(channels);
  Line line{std::vector<float>(channels), std::vector<float>(channels)};
  for (int64_t n = 0; n < frames; n++) {
    const bfloat16* from = x + n * points * channels;
    const bfloat16* given = dy + n * points * channels;
    lineOf(mean + n * groups, rstd + n * groups, scale + n * channels, shift + n * channels, channels, groups, line);
    const float *factor = line.factor.data(), *offset = line.offset.data();
    float *to_scale = dscale + n * channels, *to_shift = dshift + n * channels;
    std::fill(to_scale, to_scale + channels, 0.0f);
    std::fill(to_shift, to_shift + channels, 0.0f);
    for (int64_t p = 0; p < points; p++) {
      const bfloat16 *row = from + p * channels, *slope_row = given + p * channels;
      float* slope_out = slopes.data() + p * channels;
      for (int c = 0; c < channels; c++) {
        const float value = widen(row[c]);
        float slope = widen(slope_row[c]);
        if (activate) {
          const float z = value * factor[c] + offset[c];
          const float gate = sigmoid(z);
          slope *= gate * (1.0f + z * (1.0f - gate));
        }
        slope_out[c] = slope;
        to_shift[c] += slope;
        to_scale[c] += slope * value;
      }
    }
    const float *middle = mean + n * groups, *inverse = rstd + n * groups, *scales = scale + n * channels;
    for (int g = 0; g < groups; g++) {
      double slope_sum = 0, normed_sum = 0;
      for (int c = g * wide; c < (g + 1) * wide; c++) {
        to_scale[c] = inverse[g] * (to_scale[c] - middle[g] * to_shift[c]);
        slope_sum += (1.0f + scales[c]) * to_shift[c];
        normed_sum += (1.0f + scales[c]) * to_scale[c];
      }
      const float m1 = static_cast<float>(slope_sum / (wide * points)), m2 = static_cast<float>(normed_sum / (wide * points));
      for (int c = g * wide; c < (g + 1) * wide; c++) {
        along[c] = inverse[g] * inverse[g] * m2;
        level[c] = inverse[g] * inverse[g] * m2 * middle[g] - inverse[g] * m1;
      }
    }
    bfloat16* to = dx + n * points * channels;
    const float *a = along.data(), *l = level.data();
    for (int64_t p = 0; p < points; p++) {
      const bfloat16* row = from + p * channels;
      const float* slope_row = slopes.data() + p * channels;
      bfloat16* out = to + p * channels;
      for (int c = 0; c < channels; c++) out[c] = narrow(slope_row[c] * factor[c] - widen(row[c]) * a[c] + l[c]);
    }
  }
}

}
