//! From a pod and the objects that it names to its checkpoint, as a pure function.
