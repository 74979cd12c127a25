//! The recorder of a node; without feature `record` there never is one.

#[cfg(feature = "record")]
pub use tidings_record::Finishing;
#[cfg(feature = "record")]
pub(crate) use tidings_record::Recorder;

#[cfg(not(feature = "record"))]
pub use none::Finishing;
#[cfg(not(feature = "record"))]
pub(crate) use none::Recorder;

#[cfg(not(feature = "record"))]
mod none {
    use std::convert::Infallible;
    use tidings::Node;

    /// A recorder in a program that was built without any: no value is one.
    #[derive(Debug)]
    pub(crate) struct Recorder(Infallible);

    /// The end of a recording in a program that was built without any: no value is one.
    #[derive(Debug)]
    pub struct Finishing(#[expect(dead_code, reason = "nobody has one")] Box<Infallible>);

    impl Recorder {
        pub(crate) fn record(&mut self, _: &mut Node) {
            match self.0 {}
        }

        pub(crate) fn finish(self, _: &mut Node) -> Finishing {
            match self.0 {}
        }
    }
}
