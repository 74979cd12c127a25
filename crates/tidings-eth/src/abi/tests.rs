use super::*;
use alloy_primitives::{U256, hex};
use alloy_sol_types::SolCall;
use std::time::{Duration, Instant};

const CALLDEMO: &str = include_str!("../../contracts/calldemo.abi");

fn function(signature: &str) -> Function {
    Function::parse(signature).unwrap_or_else(|error| panic!("{signature}: {error}"))
}

/// The values as they are printed.
fn shown(function: &Function, data: &[u8]) -> Result<Vec<String>, CallError> {
    Ok(function.decode(data)?.iter().map(ToString::to_string).collect())
}

fn word(number: u64) -> [u8; 32] {
    U256::from(number).to_be_bytes()
}

fn words(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| word(number)).collect()
}

mod signatures {
    use super::*;

    #[test]
    fn a_signature_is_written_as_for_cast_or_as_in_solidity() {
        for (text, signature, returns) in [
            ("get()(uint256)", "get()", true),
            ("set(uint)", "set(uint256)", false),
            ("  set( uint256 given )  ", "set(uint256)", false),
            ("f((uint256,string)[],bytes)(bool,address)", "f((uint256,string)[],bytes)", true),
            ("function get() external view returns (uint256 value)", "get()", true),
            ("get() view returns (uint256)", "get()", true),
            ("function f((uint8, bool)[2] pairs) public", "f((uint8,bool)[2])", false),
        ] {
            let function = function(text);
            let found = (function.signature(), function.returns());
            assert_eq!(found, (signature.to_owned(), returns), "{text}");
        }
        assert_eq!(function("get()(uint256)").encode::<&str>(&[]).unwrap(), hex!("6d4ce63c"));
    }

    #[test]
    fn other_texts_are_typed_errors() {
        for text in ["", "get", "get(", "get)", "get()(", "1get()", "f(uint256", "f(,)", "f(\u{7})"]
        {
            let error = Function::parse(text).unwrap_err();
            assert!(matches!(error, InvalidAbi::Signature { .. }), "{text}: {error}");
        }
        for text in ["f(uint7)", "f(Foo)", "f(bytes33)", "f(())", "f(uint256)(()[])"] {
            let error = Function::parse(text).unwrap_err();
            assert!(matches!(error, InvalidAbi::Type { .. }), "{text}: {error}");
        }
        let error = Function::parse("f(uint257[])").unwrap_err().to_string();
        assert_eq!(error, "the type `uint257[]` is no type");
    }

    #[test]
    fn a_text_that_describes_a_huge_type_is_refused_at_once() {
        let nested = |levels: usize| format!("f({}uint{})", "(".repeat(levels), ")".repeat(levels));
        let arrays = |levels: usize| format!("f(uint{})", "[]".repeat(levels));
        let start = Instant::now();
        for text in [nested(33), nested(10_000), nested(1_000_000), "(".repeat(10_000)] {
            let error = Function::parse(&text).unwrap_err();
            let known = matches!(error, InvalidAbi::TooDeep { .. } | InvalidAbi::TooLong { .. });
            assert!(known, "{error}");
        }
        for text in [arrays(33), arrays(30_000)] {
            assert_eq!(Function::parse(&text).unwrap_err(), InvalidAbi::TooDeep { limit: 32 });
        }
        for ty in [
            "uint256[2000000000]",
            "string[2000000000]",
            "uint8[1000][1000][1000]",
            "(uint8,bytes)[2000000000]",
            "uint8[18446744073709551615][18446744073709551615]",
        ] {
            for text in [format!("f({ty})"), format!("f()({ty})")] {
                let error = Function::parse(&text).unwrap_err();
                assert!(matches!(error, InvalidAbi::Type { .. }), "{text}: {error}");
            }
        }
        let many = format!("f(uint8[1000][1000],{})", "uint8[1000],".repeat(50) + "uint8");
        assert!(matches!(Function::parse(&many), Err(InvalidAbi::TooLong { .. })));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        for text in [nested(31), arrays(31), "f(uint256[1000][1000])".into()] {
            function(&text);
        }
    }
}

mod arguments {
    use super::*;

    #[test]
    fn arguments_are_encoded_as_by_a_binding() {
        alloy_sol_types::sol! {
            function f((uint256, string)[] pairs, bytes2[2] codes, int8 small, address to);
        }
        let pairs = vec![(U256::from(1), "a, b".to_owned()), (U256::from(16), "it's".to_owned())];
        let call = fCall {
            pairs,
            codes: [[1, 2].into(), [3, 4].into()],
            small: -128,
            to: Address::repeat_byte(0x5f),
        };
        let args = [
            r#"[(1, "a, b"), (0x10, it's)]"#,
            "[0x0102,0304]",
            "-128",
            "0x5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f",
        ];
        let encoded = function(fCall::SIGNATURE).encode(&args).unwrap();
        assert_eq!(hex::encode(encoded), hex::encode(call.abi_encode()));
    }

    #[test]
    fn a_wrong_argument_is_named_with_its_type_and_text() {
        let f = function("f(uint8 small,(bool,string)[] pairs)");
        assert_eq!(
            f.encode(&["256", "[]"]).unwrap_err().to_string(),
            "argument 1, `small`: `256` is no uint8: number too large to fit in target type"
        );
        let error = f.encode(&["1", "[(yes,no)]"]).unwrap_err();
        let InvalidArguments::Value { index: 1, name, ty, text, .. } = error else { panic!() };
        let ty_and_text = (name.as_str(), ty.as_str(), text.as_str());
        assert_eq!(ty_and_text, ("pairs", "(bool,string)[]", "[(yes,no)]"));
        let error = f.encode(&["1"]).unwrap_err().to_string();
        assert_eq!(error, "`f(uint8,(bool,string)[])` takes 2 arguments; 1 given");
        for (ty, text) in [
            ("uint256", ""),
            ("uint256", "-1"),
            ("int8", "128"),
            ("int8", "-129"),
            ("bool", "1"),
            ("address", "0x5f"),
            ("bytes", "0x1"),
            ("bytes", ""),
            ("bytes2", "0x010203"),
            ("uint8[2]", "[1]"),
            ("uint8[]", "[1,"),
            ("(uint8,uint8)", "(1)"),
            ("string", "\"open"),
        ] {
            let error = function(&format!("f({ty})")).encode(&[text]).unwrap_err();
            assert!(matches!(error, InvalidArguments::Value { .. }), "{ty} {text}: {error}");
        }
    }
}

mod answers {
    use super::*;

    #[test]
    fn values_are_printed_as_by_cast_one_for_each_line() {
        let f = function(
            "f(uint256,string,(address,bool)[],int8[2],bytes,bytes4,string)\
             (uint256,string,(address,bool)[],int8[2],bytes,bytes4,string)",
        );
        let text = "a, \"b\" \\ é\nx\u{1b}[2J";
        let to = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
        let pairs = format!("[({to},true)]");
        let args = ["12345678901234567890", text, &pairs, "[-1,5]", "0x", "0xdeadbeef", "\"\""];
        let data = f.encode(&args).unwrap();
        let expected = [
            "12345678901234567890",
            r#""a, \"b\" \\ é\nx\u{1b}[2J""#,
            &format!("[({to}, true)]"),
            "[-1, 5]",
            "0x",
            "0xdeadbeef",
            "\"\"",
        ];
        assert_eq!(shown(&f, &data[4..]).unwrap(), expected);
        let json: Vec<_> = f.decode(&data[4..]).unwrap().iter().map(Value::to_json).collect();
        let expected = serde_json::json!([
            "12345678901234567890",
            text,
            [[to, true]],
            ["-1", "5"],
            "0x",
            "0xdeadbeef",
            ""
        ]);
        assert_eq!(serde_json::Value::from(json), expected);
    }

    #[test]
    fn words_that_are_no_values_of_their_type_are_refused() {
        let minus_129 = hex!("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        let right = [1 << 56, 0, 0, 0].map(u64::to_be_bytes).concat();
        for (ty, bytes, decodes) in [
            ("bool", word(1).as_slice(), true),
            ("bool", &word(2), false),
            ("uint8", &word(255), true),
            ("uint8", &word(256), false),
            ("int8", &word(127), true),
            ("int8", &word(128), false),
            ("int8", &minus_129, false),
            ("int16", &minus_129, true),
            ("address", &word(1), true),
            ("address", &[1; 32], false),
            ("bytes1", &right, true),
            ("bytes1", &word(1), false),
            ("function", &[1; 32], false),
            ("uint256", &[1; 31], false),
            ("uint256", &[], false),
            // More than the function returned when it was compiled.
            ("uint256", &[1; 64], true),
            ("string", &words(&[32, 0]), true),
            ("string", &words(&[32, 1]), false),
            ("string", &words(&[64, 1]), false),
        ] {
            let decoded = function(&format!("f()({ty})")).decode(bytes);
            assert_eq!(decoded.is_ok(), decodes, "{ty} {bytes:?}: {decoded:?}");
        }
        let mut text = words(&[32, 1]);
        text.extend([0xff; 32]);
        let error = function("f()(string)").decode(&text).unwrap_err().to_string();
        assert_eq!(error, "cannot decode the answer: it has a value that is no string");
    }

    #[test]
    fn lengths_and_offsets_beyond_the_answer_are_refused() {
        let huge = [[0xff; 32].as_slice(), &word(1)].concat();
        let wraps = |low: u64| {
            [[0, 0, 0], [u64::MAX; 3]].map(|high| {
                [high.as_slice(), &[low]]
                    .concat()
                    .into_iter()
                    .flat_map(u64::to_be_bytes)
                    .collect::<Vec<_>>()
            })
        };
        let types = ["string", "bytes", "uint256[]", "string[]", "string[2]", "(string,uint8)"];
        for ty in types.map(|ty| function(&format!("f()({ty})"))) {
            assert!(ty.decode(&huge).is_err());
            for low in [u64::MAX, u64::MAX - 31, u64::MAX - 32, 1 << 59, 1 << 63, 33, 65] {
                for word in wraps(low) {
                    let offset = [word.as_slice(), &words(&[1, 1])].concat();
                    assert!(ty.decode(&offset).is_err(), "{low}");
                    let length = [&words(&[32]), &word[..], &words(&[1])].concat();
                    assert!(ty.decode(&length).is_err(), "{low}");
                }
            }
        }
    }

    /// `levels` nested arrays of `len` elements, all elements of a level in one place.
    fn bomb(levels: usize, len: u64) -> Vec<u8> {
        let mut bytes = words(&[32]);
        for level in 0..levels {
            bytes.extend(word(len));
            let next = if level + 1 < levels { 32 * len } else { 1 };
            bytes.extend((0..len).flat_map(|_| word(next)));
        }
        bytes
    }

    #[test]
    fn an_answer_that_points_to_the_same_bytes_again_and_again_is_refused() {
        let start = Instant::now();
        let nested = bomb(4, 200);
        let error = function("f()(uint256[][][][])").decode(&nested).unwrap_err().to_string();
        let expected = "its values point to the same bytes again and again";
        assert!(error.ends_with(expected), "{error}");

        // 10,000 offsets to one text of 60 kB, alone and in tuples.
        let mut texts = words(&[32, 10_000]);
        texts.extend((0..10_000).flat_map(|_| word(320_000)));
        texts.extend(word(60_000));
        texts.extend([b'a'; 60_000]);
        for ty in ["string[]", "bytes[]", "(string)[]", "uint256[][]"] {
            let error = function(&format!("f()({ty})")).decode(&texts).unwrap_err();
            assert!(matches!(error, CallError::Undecodable(_)), "{ty}: {error}");
        }
        // A valid answer of as many bytes.
        let strings = format!("[{}]", vec!["\"\""; 10_000].join(","));
        let f = function("f(string[])(string[])");
        assert_eq!(f.decode(&f.encode(&[strings]).unwrap()[4..]).unwrap().len(), 1);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn an_answer_without_elements_stands_for_none() {
        for ty in ["uint256[]", "string[]", "uint256[1000][1000][]", "(string[100])[]"] {
            let f = function(&format!("f()({ty})"));
            assert_eq!(shown(&f, &words(&[32, 0])).unwrap(), ["[]"]);
            assert!(f.decode(&words(&[32, 1])).is_err());
            assert!(f.decode(&words(&[32, 1 << 40])).is_err());
        }
        assert!(function("f()(uint256[1000][1000])").decode(&[0; 32_000]).is_err());
    }

    #[test]
    fn both_decoders_take_the_same_encodings() {
        let f = function(
            "f((uint8,string[2])[],(bool,bytes)[2][])((uint8,string[2])[],(bool,bytes)[2][])",
        );
        let args = [r#"[(1,["a","b"]),(2,["",""])]"#, "[[(true,0x01),(false,0x)]]"];
        let data = f.encode(&args).unwrap();
        let ours = f.decode(&data[4..]).unwrap();
        let theirs = DynSolType::Tuple(f.outputs).abi_decode_params(&data[4..]).unwrap();
        let ours: Vec<_> = ours.into_iter().map(|Value(value)| value).collect();
        assert_eq!(DynSolValue::Tuple(ours), theirs);
    }
}

mod abis {
    use super::*;

    #[test]
    fn a_function_is_found_by_name_or_signature() {
        let abi = Abi::parse(CALLDEMO).unwrap();
        assert!(abi.function("get").unwrap().returns());
        for text in ["set", "set(uint256)", "function set(uint given)"] {
            assert_eq!(abi.function(text).unwrap().signature(), "set(uint256)", "{text}");
        }
        for text in ["put", "set(uint8)"] {
            let error = abi.function(text).unwrap_err().to_string();
            let expected =
                format!("the ABI has no function `{text}`, but `divide(uint256,uint256)`, ");
            assert!(error.starts_with(&expected), "{error}");
        }
        let artifact = format!(r#"{{"contractName": "calldemo", "abi": {CALLDEMO}}}"#);
        assert!(Abi::parse(&artifact).is_ok());
        for text in ["", "[", "{}", "7", "[{}]", r#"{"abi": 7}"#] {
            assert!(matches!(Abi::parse(text), Err(InvalidAbi::Json(_))), "{text}");
        }
    }

    #[test]
    fn an_overloaded_function_is_found_by_its_signature() {
        let one = |ty| {
            format!(
                r#"{{"type":"function","name":"f","inputs":[{{"name":"x","type":"{ty}"}}],
                "outputs":[],"stateMutability":"view"}}"#
            )
        };
        let abi = Abi::parse(&format!("[{},{}]", one("uint8"), one("bytes"))).unwrap();
        assert_eq!(abi.function("f(bytes)").unwrap().signature(), "f(bytes)");
        assert_eq!(
            abi.function("f").unwrap_err().to_string(),
            "the ABI has several such functions; say which: `f(uint8)`, `f(bytes)`"
        );
    }

    #[test]
    fn deep_types_in_json_are_refused() {
        let tuple = (0..40).fold(r#"{"name":"x","type":"uint8"}"#.to_owned(), |inner, _| {
            format!(r#"{{"name":"x","type":"tuple[]","components":[{inner}]}}"#)
        });
        for param in [tuple, format!(r#"{{"name":"x","type":"uint8{}"}}"#, "[]".repeat(50_000))] {
            let json = format!(
                r#"[{{"type":"function","name":"f","inputs":[{param}],"outputs":[],
                "stateMutability":"view"}}]"#
            );
            let found = Abi::parse(&json).and_then(|abi| abi.function("f"));
            assert!(found.is_err(), "{found:?}");
        }
    }
}

mod reverts {
    use super::*;

    fn explain(data: &[u8]) -> Option<String> {
        let revert = Revert { data: data.to_vec().into(), message: String::new() };
        Some(Abi::parse(CALLDEMO).unwrap().error(&revert)?.to_string())
    }

    #[test]
    fn a_revert_is_an_error_of_the_abi_or_a_standard_one() {
        let selector = |signature: &str| alloy_primitives::keccak256(signature)[..4].to_vec();
        let small = [selector("TooSmall(uint256,uint256)"), words(&[0, 1])].concat();
        assert_eq!(explain(&small).unwrap(), "TooSmall { given: 0, least: 1 }");
        assert_eq!(explain(&small[..36]), None);
        assert_eq!(explain(&[1, 2, 3]), None);
        assert_eq!(explain(&selector("TooLarge()")), None);
        let reason = RevertReason { reason: "no\nluck".into() }.abi_encode();
        assert_eq!(explain(&reason).unwrap(), "no luck");
        for (code, meaning) in [
            (0x01, "Panic(0x01): assertion failed"),
            (0x11, "Panic(0x11): arithmetic underflow or overflow"),
            (0x12, "Panic(0x12): division or modulo by zero"),
            (0x32, "Panic(0x32): array out-of-bounds access"),
            (0x99, "Panic(0x99): unknown code"),
        ] {
            let panic = Panic { code: U256::from(code) }.abi_encode();
            assert_eq!(explain(&panic).unwrap(), meaning);
        }
        assert!(
            explain(&Panic { code: U256::MAX }.abi_encode()).unwrap().ends_with("unknown code")
        );
    }
}

mod bindings {
    use super::*;

    #[test]
    fn a_dollar_in_a_name_is_refused_because_its_replacement_has_another_selector() {
        for kind in ["function", "error", "event"] {
            let json = format!(
                r#"[{{"type":"{kind}","name":"a$b","inputs":[],"outputs":[],"anonymous":false,
                "stateMutability":"view"}}]"#
            );
            let error = abigen(&json, "T").unwrap_err().to_string();
            assert_eq!(error, "cannot use the ABI: Rust has no names like `a$b`", "{kind}");
        }
    }

    #[test]
    fn bindings_are_solidity_in_the_macro_of_this_crate() {
        let bindings = abigen(CALLDEMO, "CallDemo").unwrap();
        assert!(
            bindings.contains("\ntidings_eth::sol! {\n    interface CallDemo {\n"),
            "{bindings}"
        );
        assert!(bindings.contains("error TooSmall(uint256 given, uint256 least);"), "{bindings}");
        assert!(bindings.ends_with("    }\n}\n"), "{bindings}");
    }

    #[test]
    fn a_type_name_is_an_identifier() {
        for name in ["", "_", "1st", "Call Demo", "fn", "Self", "a::b", "é", "x{}", "x\n"] {
            let error = abigen(CALLDEMO, name).unwrap_err();
            assert!(matches!(error, InvalidAbi::TypeName(_)), "{name}: {error}");
        }
        abigen(CALLDEMO, "_Call2").unwrap();
    }

    #[test]
    fn names_in_an_abi_do_not_leave_the_macro() {
        for name in ["x();}}fn f(){{", "x} }", "é", "x!"] {
            let internal = format!(
                r#"[{{"type":"function","name":"f","inputs":[{{"name":"x","type":"tuple",
                "internalType":"struct {name}","components":[{{"name":"y","type":"uint8"}}]}}],
                "outputs":[],"stateMutability":"view"}}]"#
            );
            let named = internal
                .replace(&format!("struct {name}"), "struct S")
                .replace(r#""name":"f""#, &format!(r#""name":"{name}""#));
            for json in [internal, named] {
                let bindings = abigen(&json, "T");
                assert!(bindings.is_err(), "{name}: {bindings:?}");
            }
        }
    }
}
