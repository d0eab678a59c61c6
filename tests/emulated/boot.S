/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first sector of a disk: loads the program behind it to 0x100000, goes to long mode with the first gigabyte mapped as
 * it lies, lets programs have the registers of AVX-512, and calls main().
 */
.set PIECE, 64 /* sectors: 32 KiB, so that no piece crosses a segment */

.section .boot, "ax"
.code16
.globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movb %dl, drive
    inb $0x92, %al /* the 21st address line */
    orb $2, %al
    outb %al, $0x92

    /* Segments of 4 GiB, which stay so large in real mode: for copies to where the BIOS does not read to. */
    lgdt descriptors
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $24, %bx
    movw %bx, %ds
    movw %bx, %es
    andb $0xfe, %al
    movl %eax, %cr0
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es

    movl $0x100000, %edi
    movw $PIECES, %cx
1:  movb $0x42, %ah /* the BIOS's extended read, to 0x10000 */
    movb drive, %dl
    movw $packet, %si
    pushw %cx
    pushl %edi
    int $0x13
    popl %edi
    jc stop
    movl $0x10000, %esi
    movl $(PIECE * 512 / 4), %ecx
    cld
    addr32 rep movsl
    popw %cx
    addl $PIECE, packet + 8
    loop 1b

    cli
    /* Tables of pages at 0x1000, 0x2000 and 0x3000: 512 pages of 2 MiB. */
    movw $0x1000, %di
    xorl %eax, %eax
    movw $0xc00, %cx
    rep stosl
    movl $0x2003, 0x1000
    movl $0x3003, 0x2000
    movw $0x3000, %di
    movl $0x83, %eax
    movw $512, %cx
1:  movl %eax, (%di)
    addl $0x200000, %eax
    addw $8, %di
    loop 1b
    movl $0x1000, %eax
    movl %eax, %cr3
    movl $0x40620, %eax /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
    movl %eax, %cr4
    movl $0xc0000080, %ecx /* EFER: long mode */
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl $0x80000033, %eax /* PG, NE, ET, MP, PE */
    movl %eax, %cr0
    ljmp $8, $long
stop:
    hlt
    jmp stop

.code64
long:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %ecx, %ecx /* XCR0: x87, SSE, AVX, AVX-512 */
    xgetbv
    orl $0xe7, %eax
    xsetbv
    movq $0x2000000, %rsp
    movl $main, %eax
    call *%rax
1:  hlt
    jmp 1b

.align 8
table:
    .quad 0, 0x00209a0000000000, 0x0000920000000000, 0x00cf92000000ffff
descriptors:
    .word descriptors - table - 1
    .long table
drive:
    .byte 0
.align 4
packet:
    .byte 16, 0
    .word PIECE
    .word 0, 0x1000 /* to */
    .quad 1         /* from */
.org 510
    .word 0xaa55

.section .note.GNU-stack, "", @progbits
