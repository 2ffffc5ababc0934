//! Rows of one's own text to token ids with the ranges that have a loss.

use adamole_data::text::{Encoded, LossOn, TextContent, TextEncodeOptions, TextEncoder, TextRow, TokenizedText};
use adamole_data::{DataError, Place, Spot, Tokenizer};
use proptest::prelude::*;

use crate::real_data::shared;
use crate::toy_tokenizers::{byte_level, joining_lines, sentence_piece};

const EOS: u32 = 2;

fn encoder(tokenizer: &Tokenizer, max_tokens: usize, loss_on: LossOn) -> TextEncoder<'_> {
    TextEncoder::new(tokenizer, &TextEncodeOptions { max_tokens, loss_on, append_eos: true }).unwrap()
}

fn rows(contents: impl IntoIterator<Item = TextContent>) -> Vec<TextRow> {
    let row = |(i, content)| TextRow { content, origin: Place { path: "rows.jsonl".into(), spot: Spot::Line(i + 1) } };
    contents.into_iter().enumerate().map(row).collect()
}

fn completion(prompt: &str, completion: &str) -> TextContent {
    TextContent::Completion { prompt: prompt.into(), completion: completion.into() }
}

/// The tokens, with those that are predicted in brackets.
fn shown(tokenizer: &Tokenizer, text: &TokenizedText) -> String {
    let names = tokenizer.names(&text.ids);
    let is_labelled = |i: usize| text.labelled.iter().any(|range| range.contains(&i));
    let names =
        names.iter().enumerate().map(|(i, name)| if is_labelled(i) { format!("[{name}]") } else { name.clone() });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_loss_begins_with_the_first_token_of_the_completion() {
    let (_folder, bytes) = byte_level("AB");
    let (_other, pieces) = sentence_piece(&["</s>"]);
    for (tokenizer, prompt, answer, expected) in [
        (&bytes, "Answer:", " A", "<s> Answer : [ĠA] [</s>]"),
        (&bytes, "Answer:", "A\n", "<s> Answer : [A] [Ċ] [</s>]"),
        // The prompt's space and the letter are one token.
        (&bytes, "Answer: ", "B", "<s> Answer : [ĠB] [</s>]"),
        // The prompt's space is a token of its own, whose byte range would be empty without its space.
        (&bytes, "Answer: ", "?", "<s> Answer : Ġ [?] [</s>]"),
        (&bytes, "", "Answer", "<s> [Answer] [</s>]"),
        (&bytes, "é", "é", "<s> Ã © [Ã] [©] [</s>]"),
        (&bytes, "A", "B</s>", "<s> A [B] [</s>]"),
        (&pieces, "Answer:", " A", "<s> ▁Answer : [▁A] [</s>]"),
        (&pieces, "Answer: ", "B", "<s> ▁Answer : [▁B] [</s>]"),
        (&pieces, "é", "é", "<s> ▁ <0xC3> <0xA9> [<0xC3>] [<0xA9>] [</s>]"),
    ] {
        let text = encoder(tokenizer, 64, LossOn::Completion).completion(0, prompt, answer).unwrap();
        assert_eq!(shown(tokenizer, &text), expected, "{prompt:?} {answer:?}");
        let assistant = encoder(tokenizer, 64, LossOn::Assistant).completion(0, prompt, answer).unwrap();
        assert_eq!(assistant, text);
        let all = encoder(tokenizer, 64, LossOn::All).completion(0, prompt, answer).unwrap();
        assert_eq!((&all.ids, all.labels(), all.labelled.len()), (&text.ids, text.ids.len() - 1, 1));
    }
}

#[test]
fn a_prompt_whose_end_is_within_a_token_is_listed() {
    let (_folder, tokenizer) = joining_lines("AB", &["A"]);
    let rows = rows([
        completion("Hm!", "\nAnswer:A"),
        completion("Answer:", " B"),
        completion("Answer: ", "A"),
        completion("", "A"),
    ]);
    let encoded = encoder(&tokenizer, 64, LossOn::Completion).encode(&rows).unwrap();
    assert_eq!(encoded.spanned, [0, 2]);
    assert_eq!(shown(&tokenizer, &encoded.texts[0]), "<s> H m [!ĊAnswer:A] [</s>]");
}

#[test]
fn a_text_has_a_loss_on_all_but_its_first_token() {
    for after in [&[][..], &["</s>"]] {
        let (_folder, tokenizer) = sentence_piece(after);
        let text = encoder(&tokenizer, 64, LossOn::Completion).text(3, "Answer A").unwrap();
        assert_eq!(shown(&tokenizer, &text), "<s> [▁Answer] [▁A] [</s>]");
        assert_eq!((text.row, text.truncated, text.labels()), (3, false, 3));
        let options = TextEncodeOptions { append_eos: false, ..TextEncodeOptions::default() };
        let text = TextEncoder::new(&tokenizer, &options).unwrap().text(0, "Answer A").unwrap();
        assert_eq!(shown(&tokenizer, &text), "<s> [▁Answer] [▁A]");
    }
}

#[test]
fn a_rendered_conversation_has_the_special_tokens_of_its_template() {
    let (_folder, tokenizer) = byte_level("AB");
    let text = "<s>U:A</s><s>M:B</s>";
    let reply = text.find("B</s>").unwrap()..text.len();
    let spans = std::slice::from_ref(&reply);
    let rendered = encoder(&tokenizer, 64, LossOn::Assistant).rendered(5, text, spans).unwrap();
    assert_eq!(shown(&tokenizer, &rendered), "<s> U : A </s> <s> M : [B] [</s>]");
    assert_eq!(rendered.row, 5);
    let all = encoder(&tokenizer, 64, LossOn::All).rendered(5, text, spans).unwrap();
    assert_eq!(all.labels(), all.ids.len() - 1);
    let cut = encoder(&tokenizer, 9, LossOn::Assistant).rendered(5, text, spans).unwrap();
    assert_eq!(shown(&tokenizer, &cut), "<s> U : A </s> <s> M : [B]");
}

#[test]
fn what_is_too_long_loses_its_end_and_a_row_without_labels_is_dropped() {
    let (_folder, tokenizer) = byte_level("AB");
    let rows = rows([completion("Answer", ":AB"), completion("Answer:::", "A"), TextContent::Text("Answer".into())]);
    let encoded = encoder(&tokenizer, 4, LossOn::Completion).encode(&rows).unwrap();
    let texts: Vec<String> = encoded.texts.iter().map(|text| shown(&tokenizer, text)).collect();
    assert_eq!(texts, ["<s> Answer [:] [A]", "<s> [Answer] [</s>]"]);
    assert_eq!((encoded.truncated, encoded.dropped), (2, vec![1]));
    assert_eq!(encoded.texts.iter().map(|text| text.row).collect::<Vec<_>>(), [0, 2]);
    let error = TextEncoder::new(&tokenizer, &TextEncodeOptions { max_tokens: 1, ..TextEncodeOptions::default() });
    assert!(matches!(error, Err(DataError::TextTokens(1))));
}

#[test]
fn a_conversation_is_not_encoded_before_it_is_rendered() {
    let (_folder, tokenizer) = byte_level("AB");
    let rows = rows([TextContent::Conversation { messages: Vec::new(), tools: None, prompt_messages: None }]);
    let error = encoder(&tokenizer, 64, LossOn::All).encode(&rows).unwrap_err().to_string();
    assert!(
        error.starts_with("rows.jsonl:1: a conversation, which a chat template has to turn into a text"),
        "{error}"
    );
}

/// What must hold of every completion, whatever the tokenizer.
fn assert_sound(tokenizer: &Tokenizer, prompt: &str, answer: &str, max_tokens: usize) {
    let whole = encoder(tokenizer, usize::MAX, LossOn::Completion).completion(0, prompt, answer).unwrap();
    let mut expected = tokenizer.encode_text(&format!("{prompt}{answer}")).unwrap();
    if expected.last() != tokenizer.eos().as_ref() {
        expected.extend(tokenizer.eos());
    }
    assert_eq!(whole.ids, expected, "the tokens are those of the whole text");
    let cut = encoder(tokenizer, max_tokens, LossOn::Completion).completion(0, prompt, answer).unwrap();
    assert_eq!(cut.ids[..], whole.ids[..whole.ids.len().min(max_tokens)]);
    for text in [&whole, &cut] {
        assert!(
            text.labelled
                .iter()
                .all(|range| 1 <= range.start && range.start < range.end && range.end <= text.ids.len())
        );
        assert!(text.labelled.windows(2).all(|pair| pair[0].end < pair[1].start));
    }
    // A completion is one range, up to the end.
    assert!(whole.labelled.len() == 1 && whole.labelled[0].end == whole.ids.len(), "{whole:?}");
    let encoded: Encoded = [cut].into_iter().collect();
    assert_eq!(encoded.texts.len() + encoded.dropped.len(), 1);
}

proptest! {
    #[test]
    fn labels_are_within_the_ids_in_order_and_apart(
        prompt in "[A-C :\nAnswerséΩ猫]{0,12}", answer in "[A-C :\nAnswerséΩ猫]{0,12}", max_tokens in 2..20_usize,
    ) {
        for (_folder, tokenizer) in [byte_level("AB"), joining_lines("AB", &["A"]), sentence_piece(&[]), sentence_piece(&["</s>"])] {
            assert_sound(&tokenizer, &prompt, &answer, max_tokens);
        }
    }
}

#[test]
fn the_tokenizers_of_real_models_agree() {
    let Some(folder) = shared() else { return };
    for name in ["tokenizers/llama2", "models/stories260k"] {
        let folder = folder.join(name);
        if !folder.join("tokenizer.json").is_file() {
            eprintln!("skipped: {name} is not there");
            continue;
        }
        let tokenizer = Tokenizer::from_folder(&folder).unwrap();
        for (prompt, answer) in
            [("Question: 2 + 2?\nAnswer:", " 4"), ("Once upon a", " time, é猫"), ("Say ", "it"), ("", "x")]
        {
            assert_sound(&tokenizer, prompt, answer, 6);
        }
    }
}

#[test]
fn the_end_of_sequence_has_to_exist() {
    let (folder, _) = byte_level("AB");
    std::fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert!(matches!(TextEncoder::new(&tokenizer, &TextEncodeOptions::default()), Err(DataError::NoEndOfSequence)));
    assert_ne!(tokenizer.eos(), Some(EOS));
}
