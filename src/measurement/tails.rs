//! Tails and quantiles of the distributions that tests refer to.
//!
//! Every p is a survival function, never one minus a distribution, so that 10⁻³⁰ stays right.
//! Student's t comes from the incomplete beta function below 1,000 degrees of freedom. Above, the
//! continued fraction behind it would need more and more terms; Hill's transformation to a normal
//! variable (G. W. Hill, Algorithm 395, Communications of the ACM 13, 1970) is exact to about
//! 10⁻¹³ there.

use libm::erfc;
use statrs::function::beta::checked_beta_reg;
use statrs::function::gamma::checked_gamma_ur;

/// Degrees of freedom from which Student's t is turned into a normal variable.
const HILL_FROM: f64 = 1_000.0;

/// Chance that a standard normal variable lies above `z`.
pub fn normal_above(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// Density of a standard normal variable at `z`.
pub fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The `z` above which a standard normal variable lies with chance `alpha / 2`.
pub fn normal_two_sided(alpha: f64) -> f64 {
    distance(alpha, |z| 2.0 * normal_above(z))
}

/// Chance that Student's t with `dof` degrees of freedom lies farther from 0 than `t`.
pub fn t_beyond(t: f64, dof: f64) -> f64 {
    if dof < HILL_FROM {
        let x = dof / (dof + t * t);
        return checked_beta_reg(0.5 * dof, 0.5, x).unwrap_or(f64::NAN);
    }
    erfc(normal_of_t(t.abs(), dof) / std::f64::consts::SQRT_2)
}

/// The normal variable that lies as far out as `t` does.
fn normal_of_t(t: f64, dof: f64) -> f64 {
    let a = dof - 0.5;
    let b = 48.0 * a * a;
    let y = a * (t * t / dof).ln_1p();
    let top = ((-0.4 * y - 3.3) * y - 24.0) * y - 85.5;
    let series = top / (0.8 * y * y + 100.0 + b);
    ((series + y + 3.0) / b + 1.0) * y.sqrt()
}

/// The `q` beyond which Student's t lies with chance `alpha`, both sides together.
///
/// Found from [`t_beyond`] itself, so an interval leaves out 0 exactly where p is below alpha.
pub fn t_two_sided(alpha: f64, dof: f64) -> f64 {
    distance(alpha, |q| t_beyond(q, dof))
}

/// Where a falling chance, 1 at 0, comes down to `alpha`; by bisection to the last bit.
fn distance(alpha: f64, beyond: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while alpha < beyond(high) {
        low = high;
        high *= 2.0;
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || high <= middle {
            return middle;
        }
        if alpha < beyond(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Chance that χ² with `dof` degrees of freedom lies above `x`.
pub fn chi_square_above(x: f64, dof: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    checked_gamma_ur(0.5 * dof, 0.5 * x).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64, relative: f64) {
        let apart = (found - expected).abs();
        assert!(
            apart <= relative * expected.abs(),
            "{found} instead of {expected}"
        );
    }

    #[test]
    fn students_t_agrees_on_both_sides_of_the_change_of_method() {
        for t in [0.01, 0.5, 1.0, 1.96, 3.0, 6.0, 12.0] {
            let (dof, x) = (1_500.0_f64, 1_500.0 / (1_500.0 + t * t));
            let exact = checked_beta_reg(0.5 * dof, 0.5, x).unwrap();
            near(t_beyond(t, dof), exact, 1e-10);
        }
    }

    #[test]
    fn quantiles_lead_back_to_their_chance() {
        for dof in [1.0, 2.5, 11.2, 400.0, 999.9, 1_000.0, 1e5, 1e8] {
            for alpha in [0.5, 0.05, 0.01, 1e-6] {
                near(t_beyond(t_two_sided(alpha, dof), dof), alpha, 1e-12);
            }
        }
        near(t_two_sided(0.05, 1.0), 12.706_204_736_174_7, 1e-12);
        near(t_two_sided(0.05, 10.0), 2.228_138_851_986_274, 1e-12);
        near(normal_two_sided(0.05), 1.959_963_984_540_05, 1e-13);
    }

    #[test]
    fn far_tails_keep_their_figures() {
        near(2.0 * normal_above(11.0), 3.821_319_148_997_35e-28, 1e-10);
        near(chi_square_above(7.225, 1.0), 0.007_189_517_2, 1e-7);
    }
}
