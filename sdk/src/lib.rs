//! What an organizer compiles a Gradus scorer with.
//!
//! A scorer is a library crate of type `["cdylib", "rlib"]` with one dependency, this crate, and one type that
//! implements [`Scorer`]. [`export!`] makes a WebAssembly component of it; natively the same code runs in tests, against
//! [`Data::memory`] and [`Feedback::memory`]. `template/` is such a crate to copy.
//!
//! ```
//! use gradus_sdk::{Data, Description, Failure, Feedback, Metric, Params, Problem, Report, Scorer};
//!
//! /// How far the number that was handed in is from the right one.
//! struct Distance;
//!
//! impl Scorer for Distance {
//!     fn describe(_: &Params) -> Result<Description, String> {
//!         let distance = Metric::lower("distance").title("Distance");
//!         Ok(Description::new("distance", "1.0.0", "How far a number is from the right one.").metric(distance))
//!     }
//!
//!     fn validate(data: &Data, _: &mut Feedback) -> Result<(), Failure> {
//!         guess(data).map(drop)
//!     }
//!
//!     fn score(data: &Data, _: &mut Feedback) -> Result<Report, Failure> {
//!         let truth = data.reference().first().and_then(|file| file.read_text(1000).ok()?.trim().parse::<f64>().ok());
//!         let truth = truth.ok_or_else(|| Failure::challenge("the reference is one file with one number"))?;
//!         Ok(Report::new().score("distance", (guess(data)? - truth).abs()))
//!     }
//! }
//!
//! fn guess(data: &Data) -> Result<f64, Failure> {
//!     let file = data.predictions().first().ok_or(Problem::new("no file was handed in"))?;
//!     let text = file.read_text(1000).map_err(|error| Problem::new(error.to_string()).file(file.path()))?;
//!     match text.trim().parse::<f64>() {
//!         // A range, as the difference of two finite numbers may be none, and a score must be one.
//!         Ok(number) if (-1e9..=1e9).contains(&number) => Ok(number),
//!         _ => Err(Problem::new("write one number from -1e9 to 1e9, such as 4.5").file(file.path()).line(1).into()),
//!     }
//! }
//!
//! gradus_sdk::export!(Distance);
//!
//! # fn main() {
//! let data = Data::memory().with_prediction("guess.txt", "4.5\n").with_reference("truth.txt", "4\n");
//! assert_eq!(Distance::score(&data, &mut Feedback::memory()).unwrap().scores[0].value, 0.5);
//!
//! let data = Data::memory().with_prediction("guess.txt", "four\n");
//! let failure = Distance::validate(&data, &mut Feedback::memory()).unwrap_err();
//! assert_eq!(failure.to_string(), "invalid submission: guess.txt:1: write one number from -1e9 to 1e9, such as 4.5");
//! let data = Data::memory().with_prediction("guess.txt", "-1e308").with_reference("truth.txt", "1e308");
//! assert!(Distance::score(&data, &mut Feedback::memory()).is_err());
//! # }
//! ```
//!
//! Rules that keep a score a score: a panic loses it, so bytes from a participant are checked, never indexed or
//! unwrapped; a result depends on the data alone (there is no clock to ask, and the order of a `HashMap` is nobody's); a
//! value that is undefined is a decision, never a NaN; numbers have a range, as a sum of finite ones may be infinite; sums
//! run in a fixed order ([`sum()`]).
//!
//! Architecture invariants: no host crate and no async runtime here. The imports of a component are reachable only in
//! one, as natively a call of any would end the process. Bindings are generated here and nowhere else.

pub mod data;
pub mod feedback;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
pub mod params;
pub mod problem;
pub mod sum;
pub mod table;
pub mod text;
pub mod types;

pub use data::{Data, File};
pub use feedback::Feedback;
pub use params::Params;
pub use problem::{Problem, Problems};
pub use sum::sum;
pub use types::{Audience, Case, Description, Direction, Failure, Metric, Report, Score};

/// What a scorer is.
pub trait Scorer {
    /// Says what the scorer is and what it will report under `params`, which are `{}` outside a challenge.
    ///
    /// # Errors
    /// A sentence for the organizer: what is wrong with the parameters.
    fn describe(params: &Params) -> Result<Description, String>;

    /// The format check: no reference data, small limits, costs the participant no quota.
    ///
    /// # Errors
    /// [`Failure::InvalidSubmission`] with the problems, [`Failure::InvalidChallenge`] when the task is wrong.
    fn validate(data: &Data, feedback: &mut Feedback) -> Result<(), Failure>;

    /// Scores the predictions against the reference data. It repeats the checks of `validate`: a submission that is
    /// made by a participant's code has not passed the door.
    ///
    /// # Errors
    /// [`Failure::InvalidSubmission`] with the problems, [`Failure::InvalidChallenge`] when the task is wrong.
    fn score(data: &Data, feedback: &mut Feedback) -> Result<Report, Failure>;
}

/// Makes a component of a type that implements [`Scorer`]. Once in a crate, at its top. Natively it only checks the type.
#[macro_export]
macro_rules! export {
    ($scorer:ty) => {
        const _: fn() = || {
            fn is_a_scorer<S: $crate::Scorer>() {}
            is_a_scorer::<$scorer>();
        };

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the component ABI is raw pointers")]
        const _: () = {
            type Component = $crate::guest::Component<$scorer>;
    $crate::guest::bindings::export_component!(Component with_types_in $crate::guest::bindings);
        };
    };
}
