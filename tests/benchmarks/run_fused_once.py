"""One forward and backward of every fused twin at an odd shape on CUDA: what compute-sanitizer watches."""

import torch

import upsamplers

CHANNELS, HEIGHT, WIDTH = 64, 13, 17


def main() -> None:
    """Runs each twin once; blocks are chosen first, so that the sanitizer sees all of them."""
    for name in upsamplers.names():
        if not upsamplers.get(name).reference:
            continue
        up = upsamplers.create(name, CHANNELS).cuda()
        x = torch.randn(2, CHANNELS, HEIGHT, WIDTH, device="cuda", requires_grad=True)
        guide = torch.randn(2, CHANNELS, 2 * HEIGHT, 2 * WIDTH, device="cuda", requires_grad=True)
        inputs = (x, guide) if up.needs_guide else (x,)
        with torch.inference_mode():  # some do it otherwise where no gradient is wanted
            up(*inputs)
        up(*inputs).square().sum().backward()
        torch.cuda.synchronize()
        print(name, flush=True)


if __name__ == "__main__":
    main()
