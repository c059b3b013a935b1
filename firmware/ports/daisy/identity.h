// What `vaectrol flash` reads in the image: hardware/image.py looks for this text.
#pragma once

namespace vaectrol {
extern const char identity[];
} // namespace vaectrol
