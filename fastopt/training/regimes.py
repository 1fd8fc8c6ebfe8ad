"""The regimes of the learning rate, read from the losses of a run: it diverges, overshoots, plateaus, is good, or slow.

How it is read, in this order. L_0 is the first loss, `end` the median of the last fifth, `floor` the lowest loss that is known to be
possible (or the lowest level of the run), and drop = L_0 - floor. `noise` is the standard deviation that losses scatter by
from one to the next, read from their second differences (whose own, of independent losses, is sqrt(6) times that).

1. A NaN or an infinity anywhere; an end above L_0 by more than 3 noise (or by any, where the floor is given and the noise is more than a
   quarter of the drop); ups and downs that grow, to above L_0; or a loss that fell, turned, and rose by a quarter of what it had fallen:
   it **diverges**.
2. While the loss is more than 1 % of the drop above the floor: most updates point against the one before, with a mean cosine below -0.3
   (where cosines are known); the loss leaps above L_0 by more than the drop; or it goes up by a quarter of what it goes down, regularly
   and not as noise would: it **overshoots** the minimum.
3. The second half brought less than 2 % of the drop: it stands. Where it began, that is **slow**, unless it went up and down by more than
   the drop to a given floor meanwhile. Where the floor is given, it is **good** after 90 % of the way, and **plateaus** before that.
4. It still falls. Where the floor is given, it is **slow** if it has come less than 90 % of the way. Where none is, it is slow if the
   second half brought over 30 % of all that it fell (of a straight line 50 %, of an exponential that came 80 % of its way 31 %). Else it
   is **good**.

Only a floor, or gradients' norms, can tell a plateau from a minimum. Where no floor is given, a run that stands below L_0 plateaus if its
gradients do not become small, or if its losses scatter by more than 5 % of the drop; else it is good. Several rates tell more than one:
`regimes_of` takes the best of all for the floor, and knows which rates are above the best one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastopt import arguments
from fastopt.rules.domain import describe
from fastopt.training.verdict import Verdict

__all__ = ["regime_of", "regimes_of"]

LEAST = 8
"""Fewer losses say nothing of a trend."""

REACHED, CLOSE, STANDS = 0.01, 0.9, 0.02
STRAIGHT, TURNED, SCATTERED = 0.3, 0.25, 0.05
REGULAR, SURE = 0.6, 3.0

Series = NDArray[np.float64]


def regime_of(
    losses: ArrayLike,
    *,
    floor: float | None = None,
    cosines: ArrayLike | None = None,
    grad_norms: ArrayLike | None = None,
    param_norms: ArrayLike | None = None,
) -> Verdict:
    """The regime of the learning rate in a run.

    Parameters
    ----------
    losses
        The losses of the run in order, 8 or more (or fewer, if one is not finite), always of the same data: the whole set, or an epoch's
        mean. Losses of single mini-batches scatter: `smoothed` takes that off.
    floor
        The lowest loss that is known to be possible. Without one, the lowest of the run.
    cosines
        Of the angles between each update and the one before (`History`).
    grad_norms, param_norms
        Norms of the gradients and of the parameters along the run. Where no gradient of the last fifth is below a tenth of the first one, a
        run that stands is not at a minimum.

    Raises TypeError or ValueError for what is no such series.
    """
    series = arguments.series(losses, "losses", 1)
    norms = {}
    if grad_norms is not None:
        norms["gradient"] = arguments.series(grad_norms, "grad_norms", 1)
    if param_norms is not None:
        norms["parameters"] = arguments.series(param_norms, "param_norms", 1)
    angles = None if cosines is None else arguments.series(cosines, "cosines", 1)
    if floor is not None:
        floor = arguments.real(floor, "floor")
    if (found := _not_finite(series, norms)) is not None:
        return found
    if len(series) < LEAST:
        raise ValueError(f"losses: expected at least {LEAST} finite numbers, received {len(series)}")
    with np.errstate(over="ignore"):  # of losses near the largest floats, which have diverged
        return _Reading(series, floor, angles, norms).verdict()


def regimes_of(histories: Mapping[float, ArrayLike], floor: float | None = None) -> dict[float, Verdict]:
    """The regime of each of several learning rates: of one model, from the same initial parameters, on the same data.

    Parameters
    ----------
    histories
        Learning rate to the losses of its run, as in `regime_of`.
    floor
        The lowest loss that is known to be possible. Without one, the lowest level of all runs: the best rate has to have had the steps to
        come near the minimum.

    Answers the verdicts from the lowest rate to the highest. A rate above the best one that would be called slow by itself plateaus, and
    one below it that would be called a plateau is slow: the other rates show that there was further to go.

    Raises TypeError or ValueError for what are no such histories.
    """
    if not isinstance(histories, Mapping) or not histories:
        raise TypeError(f"histories: expected a mapping of learning rates to losses, received {describe(histories)}")
    series = {arguments.positive(lr, "histories"): arguments.series(losses, f"histories[{lr!r}]", 1) for lr, losses in histories.items()}
    levels = {lr: float(_levels(own).min()) for lr, own in series.items() if np.isfinite(own).all()}
    if floor is None:
        floor = min(levels.values(), default=None)
    found = {lr: regime_of(series[lr], floor=floor) for lr in sorted(series)}
    if levels:
        best = min(levels, key=lambda lr: levels[lr])
        for lr, verdict in found.items():
            found[lr] = _beside(verdict, lr, best)
    return found


def _beside(verdict: Verdict, lr: float, best: float) -> Verdict:
    """What a verdict comes to when another rate is known that goes lower."""
    if "end" not in verdict.evidence or lr == best:
        return verdict
    end = f"the loss comes to {verdict.evidence['end']:.4g}, and lower at a"
    if verdict.regime == "slow" and lr > best:
        return Verdict("plateaus", f"{end} lower rate, {best:g}: the learning rate is too high to come nearer", verdict.evidence)
    if verdict.regime == "plateaus" and lr < best:
        return Verdict("slow", f"{end} higher rate, {best:g}: the learning rate is too low", verdict.evidence)
    return verdict


def _not_finite(series: Series, norms: Mapping[str, Series]) -> Verdict | None:
    for name, values in (("loss", series), *((f"norm of the {name}", values) for name, values in norms.items())):
        bad = np.flatnonzero(~np.isfinite(values))
        if not len(bad):
            continue
        step = int(bad[0])
        evidence = {"step": float(step), "first": float(values[0]), "value": float(values[step])}
        if step == 0:
            words = f"the {name} is {values[0]} from the first: of the data or the initial parameters, not of the learning rate"
            return Verdict("diverges", words, evidence)
        words = f"the {name} is {values[step]} at step {step}, after {values[step - 1]:g} (the first was {values[0]:g})"
        return Verdict("diverges", f"{words}: the learning rate is too high", {**evidence, "before": float(values[step - 1])})
    return None


class _Reading:
    """The numbers of a run with finite losses, and the verdict that follows from them."""

    def __init__(self, series: Series, floor: float | None, cosines: Series | None, norms: Mapping[str, Series]) -> None:
        self.series, self.given, self.cosines, self.norms = series, floor is not None, cosines, norms
        self.changes = np.diff(series)
        self.count = max(3, len(series) // 5)
        self.first, self.end = float(series[0]), float(np.median(series[-self.count :]))
        self.best = float(series.min())
        self.floor = float(_levels(series).min()) if floor is None else floor
        self.drop = self.first - self.floor
        self.noise = 1.4826 * float(np.median(np.abs(np.diff(series, 2)))) / math.sqrt(6.0)
        self.progress = (self.first - self.end) / self.drop if self.drop > 0.0 else 0.0
        middle = (len(series) - self.count) // 2
        self.later = float(np.median(series[middle : middle + self.count])) - self.end
        self.evidence = {"first": self.first, "end": self.end, "best": self.best, "floor": self.floor, "noise": self.noise}
        self.evidence |= {"progress": self.progress, "later": self.later}
        for name, values in norms.items():
            self.evidence |= {f"first norm of the {name}": float(values[0]), f"last norm of the {name}": float(values[-1])}

    def verdict(self) -> Verdict:
        for read in (self._diverges, self._overshoots, self._stands):
            if (found := read()) is not None:
                return found
        return self._falls()

    def _as(self, regime: str, cause: str, **evidence: float) -> Verdict:
        return Verdict(regime, cause, {**self.evidence, **evidence})

    def _diverges(self) -> Verdict | None:
        grew = [(name, values[0], values[-1]) for name, values in self.norms.items() if values[-1] > values[0]]
        grown = "".join(f"; the norm of the {name} went from {before:.3g} to {now:.3g}" for name, before, now in grew)
        # losses that scatter by more than a quarter of the way there was to go are no noise around where they began
        scattered = self.given and self.end > self.first and self.noise > 0.25 * self.drop
        if scattered or self.end > self.first + 3.0 * self.noise + 1e-9 * abs(self.first):
            words = f"the loss ends at {self.end:.4g}, above the first, {self.first:.4g}{grown}: the learning rate is far too high"
            return self._as("diverges", words)
        quarter = max(1, len(self.changes) // 4)
        early, late = (float(np.abs(part).mean()) for part in (self.changes[:quarter], self.changes[-quarter:]))
        if _flips(self.changes) >= 0.8 and late > 3.0 * early and self.series[-quarter:].max() > self.first:
            words = f"the loss goes up and down in turns, by {early:.3g} at first and {late:.3g} in the end{grown}"
            return self._as("diverges", f"{words}: the learning rate is far too high", early=early, late=late)
        turn = int(self.series.argmin())
        after = self.changes[turn:]
        fallen, risen = self.first - self.best, self.end - self.best
        if risen > TURNED * fallen + 3.0 * self.noise and len(after) >= 3 and (after > 0.0).mean() > 0.8:
            words = f"the loss fell to {self.best:.4g} at step {turn} and has risen to {self.end:.4g} since{grown}"
            return self._as(
                "diverges", f"{words}: the learning rate is too high (or, on data that is not trained on, it overfits)", turn=float(turn)
            )
        return None

    def _overshoots(self) -> Verdict | None:
        reached = np.flatnonzero(_levels(self.series) <= self.floor + REACHED * self.drop)
        stop = max(LEAST, int(reached[0]) + self.count // 2 if len(reached) else len(self.series))
        if self.cosines is not None and (known := self.cosines[: stop - 1][np.isfinite(self.cosines[: stop - 1])]).size:
            back, mean = float((known < 0.0).mean()), float(known.mean())
            if back > 0.5 and mean < -0.3:
                words = f"{back:.0%} of the updates point against the one before (mean cosine {mean:.2f}): each step crosses the minimum"
                return self._as("overshoots", f"{words}; the learning rate is too high", back=back, cosine=mean)
        top = int(self.series[:stop].argmax())
        leap = float(self.series[top]) - self.first
        if leap > abs(self.drop) + 6.0 * self.noise:
            words = f"the loss leaps from {self.first:.4g} to {self.series[top]:.4g} at step {top} before it falls"
            return self._as("overshoots", f"{words}: the first steps cross the minimum; the learning rate is too high", leap=leap)
        changes = self.changes[: stop - 1]
        ups, downs = float(changes[changes > 0.0].sum()), float(-changes[changes < 0.0].sum())
        flips, regular = _flips(changes), _regularity(changes)
        if ups < 0.25 * downs or ups + downs <= REACHED * abs(self.drop) or regular == 0.0:
            return None
        numbers = {"ups": ups, "downs": downs, "flips": flips, "regularity": regular}
        words = f"the loss goes up ({ups:.3g} in all) and down ({downs:.3g})"
        if flips >= 0.8:
            return self._as("overshoots", f"{words} in turns: it jumps across the minimum; the learning rate is too high", **numbers)
        words += " in waves: it runs past the minimum and back"
        return self._as("overshoots", f"{words}; the learning rate or the momentum is too high", **numbers)

    def _stands(self) -> Verdict | None:
        error = self.noise / math.sqrt(self.count)  # of the medians
        if self.later > STANDS * self.drop and self.later > 3.0 * error:
            return None
        nowhere = self.drop <= 0.0 or self.first - self.end <= 3.0 * self.noise or self.progress < 0.05
        moved = self.given and float(np.abs(self.changes).sum()) > self.drop > 0.0
        if nowhere and not moved:
            words = f"the loss hardly leaves {self.end:.4g}, where it began: the learning rate is far too low, or the gradient is 0"
            return self._as("slow", words)
        if self.given:
            if self.progress + error / self.drop >= CLOSE:
                words = f"the loss fell from {self.first:.4g} to {self.end:.4g}, {self.progress:.0%} of the way to {self.floor:.4g}"
                return self._as("good", words)
            return self._high(f"{self.progress:.0%} of the way from {self.first:.4g} to {self.floor:.4g}")
        gradient = self.norms.get("gradient")
        if gradient is not None and (least := float(gradient[-self.count :].min())) > 0.1 * float(gradient[0]):
            return self._high(f"gradients of {least:.3g} and more ({gradient[0]:.3g} at first)")
        scatter = float(np.std(self.changes[len(self.changes) // 2 :])) / math.sqrt(2.0)
        if scatter > SCATTERED * self.drop:
            return self._high(f"losses that scatter by {scatter:.3g}", scatter=scatter)
        words = f"the loss fell from {self.first:.4g} to {self.end:.4g} and stands (near the minimum, if no other rate goes lower)"
        return self._as("good", words)

    def _high(self, where: str, **evidence: float) -> Verdict:
        words = f"the loss moved and stands at {self.end:.4g}, with {where}: the learning rate is too high to come nearer"
        return self._as("plateaus", words, **evidence)

    def _falls(self) -> Verdict:
        share = self.later / (self.first - self.end) if self.first > self.end else math.inf
        far = self.given and self.progress < CLOSE
        if far or (share > STRAIGHT and not self.given):
            way = f"{self.progress:.0%} of the way to {self.floor:.4g}" if self.given else f"{share:.0%} of its way in the second half"
            words = f"the loss still falls, at {self.end:.4g}, and has come {way}: the learning rate is too low"
            return self._as("slow", words, share=share)
        return self._as("good", f"the loss fell from {self.first:.4g} to {self.end:.4g}, most of it in the first half", share=share)


def _flips(changes: Series) -> float:
    """How often a change is of the other direction than the one before: two times in three for noise, always for a zigzag."""
    signs = np.sign(changes[changes != 0.0])
    return float((signs[1:] != signs[:-1]).mean()) if len(signs) > 1 else 0.0


def _regularity(changes: Series) -> float:
    """How regularly ups and downs follow each other: the largest correlation of the changes' signs at a distance of 2 or more.

    0 where none is large (0.6) and larger than chance would have it (3 standard deviations). Signs of noise are correlated with the next
    ones (-1/3) and no others, however large it is; those of a wave with the ones half a period later.
    """
    signs = np.sign(changes)
    mean, variance = float(signs.mean()), float(signs.var())
    found = 0.0
    for k in range(2, min(12, len(signs) // 2) + 1) if variance > 0.0 else ():
        correlation = abs(float(((signs[k:] - mean) * (signs[:-k] - mean)).mean())) / variance
        if correlation >= REGULAR and correlation * math.sqrt(len(signs) - k) >= SURE:
            found = max(found, correlation)
    return found


def _levels(series: Series) -> Series:
    """The medians of a fifth of a run in a row, at least three: of losses that scatter, the luckiest is not where they are."""
    count = min(len(series), max(3, len(series) // 5))
    levels: Series = np.median(np.lib.stride_tricks.sliding_window_view(series, count), axis=1)
    return levels
