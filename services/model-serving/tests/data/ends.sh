#!/bin/sh
# Stands in for the program that tries models out, and ends as the name it is called by says.
case "${0##*/}" in
    segmentation-fault) kill -SEGV $$ ;;
    abort) echo 'free(): invalid pointer' >&2; kill -ABRT $$ ;;
    out-of-memory) echo 'memory allocation of 5 bytes failed' >&2; kill -ABRT $$ ;;
    out-of-time) kill -XCPU $$ ;;
    without-report) echo 'no report'; echo 'last words' >&2; exit 3 ;;
esac
