//! Every type that an adapter's signatures, events and errors name is re-exported by the adapter.

macro_rules! reexports {
    ($($adapter:ident: $test:ident,)*) => {
        $(
            #[test]
            fn $test() {
                use $adapter::{
                    BroadcastError, Builder, Bytes, Cipher, ClusterName, CommandError, Config,
                    ConfigError, Done, DriverConfig, Event, Events, ExchangeError, Failure,
                    Incarnation, InvalidKey, InvalidName, InvalidNetwork, InvalidSource, IpNetwork,
                    JoinError, Key, KeyError, KeyId, Keyring, KeyringError, Limits, LookupError,
                    Member, Memberlist, Meta, Network, NodeId, Notice, Observer, OnNameTaken,
                    Options, Phase, Plaintext, RecordError, Refusal, Reject, Rejected, Seed,
                    SeedError, SeedFailure, SeedSource, SendError, Services, SetSeedsError,
                    SnapshotDefect, SourceError, StartError, State, Stats, Target, TargetError,
                    Ticket, Tidings, TooLong, Via, Wire,
                };
                // An event takes apart into types that have names here.
                let _: fn(Event) -> Option<(Ticket, Result<Done, Failure>)> = |event| match event {
                    Event::Completed { ticket, result } => Some((ticket, result)),
                    _ => None,
                };
                let _: fn(ExchangeError) -> Option<Result<Refusal, Reject>> = |error| match error {
                    ExchangeError::Refused(refusal) => Some(Ok(refusal)),
                    ExchangeError::BadAnswer(reject) => Some(Err(reject)),
                    _ => None,
                };
                // A handle is shared by cloning, and by threads.
                fn shared<T: Clone + Send + Sync + 'static>() {}
                shared::<Tidings>();
                fn moved<T: Send + 'static>() {}
                moved::<Events>();
                moved::<Builder<(Tidings, Events)>>();
                fn errors<T: std::error::Error + Send + Sync + 'static>() {}
                errors::<StartError>();
                errors::<JoinError>();
                errors::<SeedError>();
                errors::<CommandError>();
                errors::<Failure>();
                errors::<KeyError>();
                errors::<LookupError>();
                errors::<RecordError>();
                errors::<SendError>();
                errors::<BroadcastError>();
                errors::<ConfigError>();
                errors::<InvalidKey>();
                errors::<InvalidName>();
                errors::<InvalidNetwork>();
                errors::<KeyringError>();
                errors::<TargetError>();
                errors::<InvalidSource>();
                errors::<SetSeedsError>();
                errors::<SnapshotDefect>();
                errors::<SourceError>();
                errors::<TooLong>();
                // The others have names here too.
                type _Others = (
                    (Bytes, Cipher, ClusterName, Config, Incarnation, IpNetwork, Key, KeyId),
                    (Keyring, Limits, Member, Memberlist, Meta, Network, NodeId, Options, Phase),
                    (Plaintext, Rejected, Seed, SeedFailure, Services, State, Stats, Target),
                    (DriverConfig, Notice, Observer, OnNameTaken, SeedSource, Via, Wire),
                );
            }
        )*
    };
}

reexports! {
    tidings_std: on_std_all_types_have_names,
    tidings_async_io: on_async_io_all_types_have_names,
    tidings_smol: on_smol_all_types_have_names,
    tidings_async_std: on_async_std_all_types_have_names,
    tidings_tokio: on_tokio_all_types_have_names,
}
