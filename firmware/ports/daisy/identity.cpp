#include "identity.h"

// Its fields come from the build (link.py): VAECTROL_IDENTITY is one JSON object as a string.
namespace vaectrol {
const char identity[] = "VAECTROL-IMAGE " VAECTROL_IDENTITY;
} // namespace vaectrol
