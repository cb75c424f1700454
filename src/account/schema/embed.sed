# SPDX-License-Identifier: Apache-2.0
# Turns a text into lines of C string literals.
s/[\\"]/\\&/g
s/^/"/
s/$/\\n"/
