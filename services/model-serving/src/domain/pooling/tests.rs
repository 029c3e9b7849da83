use proptest::prelude::*;

use super::*;

const POOLINGS: [Pooling; 3] = [Pooling::Mean, Pooling::Cls, Pooling::Last];
const SIDES: [PadSide; 2] = [PadSide::Right, PadSide::Left];

/// Rows of token vectors, laid out with `padding` on a side.
fn laid_out(rows: &[Vec<Vec<f32>>], width: usize, side: PadSide, padding: f32) -> Vec<f32> {
    let mut values = Vec::new();
    for row in rows {
        let dimensions = row[0].len();
        let pad = vec![padding; (width - row.len()) * dimensions];
        match side {
            PadSide::Right => values.extend(row.concat().into_iter().chain(pad)),
            PadSide::Left => values.extend(pad.into_iter().chain(row.concat())),
        }
    }
    values
}

/// One number at a time, the other way round.
fn expected(pooling: Pooling, row: &[Vec<f32>]) -> Vec<f64> {
    let column = |at: usize| row.iter().rev().map(move |vector| f64::from(vector[at]));
    let count = f64::from(u32::try_from(row.len()).unwrap());
    (0..row[0].len())
        .map(|at| match pooling {
            Pooling::Mean => column(at).sum::<f64>() / count,
            Pooling::Cls => column(at).next_back().unwrap(),
            Pooling::Last => column(at).next().unwrap(),
            Pooling::None => unreachable!("nothing is pooled"),
        })
        .collect()
}

fn rows() -> impl Strategy<Value = Vec<Vec<Vec<f32>>>> {
    (1usize..5).prop_flat_map(|dimensions| {
        let vector = proptest::collection::vec(-1.0e6_f32..1.0e6, dimensions);
        let row = proptest::collection::vec(vector, 1..7);
        proptest::collection::vec(row, 1..6)
    })
}

proptest! {
    /// Whatever stands in the padding, and on whichever side it is.
    #[test]
    fn only_the_tokens_of_a_row_count(rows in rows(), more in 0usize..3, padding in prop_oneof![Just(f32::NAN), Just(7.0_f32)]) {
        let tokens: Vec<usize> = rows.iter().map(Vec::len).collect();
        let (width, dimensions) = (tokens.iter().max().unwrap() + more, rows[0][0].len());
        for side in SIDES {
            let values = laid_out(&rows, width, side, padding);
            for pooling in POOLINGS {
                let pooled = pool(pooling, &values, &tokens, width, dimensions, side);
                prop_assert_eq!(pooled.len(), rows.len());
                for (pooled, row) in pooled.iter().zip(&rows) {
                    for (number, expected) in pooled.iter().zip(expected(pooling, row)) {
                        let scale = row.iter().flatten().fold(0.0_f32, |most, value| most.max(value.abs()));
                        prop_assert!((f64::from(*number) - expected).abs() <= f64::from(scale) * 1e-7);
                    }
                }
            }
        }
    }

    #[test]
    fn the_mean_does_not_depend_on_the_order(mut vectors in proptest::collection::vec(-1.0e30_f32..1.0e30, 1..200)) {
        let mean = |vectors: &[f32]| pool(Pooling::Mean, vectors, &[vectors.len()], vectors.len(), 1, PadSide::Right)[0][0];
        let forwards = mean(&vectors);
        vectors.reverse();
        let scale = vectors.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        prop_assert!((forwards - mean(&vectors)).abs() <= scale * f32::EPSILON);
    }
}

/// A sum in f32 would stand still at 2^24.
#[test]
fn a_long_text_keeps_its_digits() {
    let values = vec![1.0_f32; 32_768].into_iter().chain([16_777_216.0; 2]).collect::<Vec<_>>();
    let pooled = pool(Pooling::Mean, &values, &[values.len()], values.len(), 1, PadSide::Right);
    assert_eq!(pooled, [[33_587_200.0 / 32_770.0]]);
}

#[test]
fn a_row_without_tokens_has_no_number() {
    for pooling in POOLINGS {
        let pooled = pool(pooling, &[1.0, 2.0], &[0], 1, 2, PadSide::Left);
        assert!(pooled[0].len() == 2 && pooled[0].iter().all(|number| number.is_nan()), "{pooled:?}");
    }
}
